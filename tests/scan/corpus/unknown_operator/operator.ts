import { supabase } from './db'

export const s = supabase
  .channel('operator')
  .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'tags', filter: 'name=contains.x' }, () => {})
  .subscribe()
