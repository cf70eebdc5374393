import { supabase } from './db'

const SCHEMA = 'sales'
const TABLE = 'deals'
const EVENT = 'UPDATE'
const STAGE = 'won'

export const sub = supabase
  .channel(`${SCHEMA}:${TABLE}`)
  .on('postgres_changes', { event: EVENT, schema: SCHEMA, table: TABLE, filter: `stage=eq.${STAGE}` }, () => {})
  .subscribe()
