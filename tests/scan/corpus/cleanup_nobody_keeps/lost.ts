import { supabase } from './db'

export function watch(table: string) {
  const channel = supabase
    .channel('w')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'lost' }, () => console.log(table))
    .subscribe()
  return () => { supabase.removeChannel(channel) }
}

export function boot() {
  watch('lost')
}
boot()
