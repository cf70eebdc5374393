import { supabase } from './db'

export const s = supabase
  .channel('crlf')
  .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'lines' }, () => {})
  .subscribe()
