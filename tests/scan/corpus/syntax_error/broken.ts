import { supabase } from './db'

const ok = supabase
  .channel('ok')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'kept' }, () => {})
  .subscribe()

function half( {
