import { supabase } from './db'

export const every = supabase
  .channel('everything')
  .on('postgres_changes', { event: '*', schema: 'public' }, (change) => console.log(change.table))
  .subscribe()
