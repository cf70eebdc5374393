import { supabase } from './db'
import { PUBLIC, TABLES } from './tables'

export const channel = supabase
  .channel('calls')
  .on('postgres_changes', { event: 'INSERT', schema: PUBLIC, table: TABLES.calls }, () => {})
  .on('postgres_changes', { event: 'INSERT', schema: PUBLIC, table: TABLES.notes }, () => {})
  .subscribe()
