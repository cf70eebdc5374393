import { supabase } from './db'

export async function load() {
  // const channel = supabase
  //   .channel('gone')
  //   .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'gone_table' }, reload)
  //   .subscribe()
  return supabase.from('gone_table').select()
}
