import { supabase } from './db'

export const s = supabase
  .channel('subselect')
  .on('postgres_changes', {
    event: 'INSERT', schema: 'public', table: 'tasks',
    filter: 'team_id=in.(select team_id from members)',
  }, () => {})
  .subscribe()
