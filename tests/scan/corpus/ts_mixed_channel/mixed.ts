import { supabase } from './db'

export const mixed = supabase
  .channel('doc:1')
  .on('broadcast', { event: 'typing' }, () => {})
  .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'documents', filter: 'id=eq.1' }, () => {})
  .subscribe()
