import { supabase } from './db'

export const s = supabase
  .channel('joined')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'tasks', filter: 'state=eq.open&team=eq.1' }, () => {})
  .subscribe()
