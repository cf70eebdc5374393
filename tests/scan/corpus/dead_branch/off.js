import { supabase } from './db'

if (false) {
  supabase
    .channel('off')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'switched_off' }, () => {})
    .subscribe()
}
