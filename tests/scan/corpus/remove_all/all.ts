import { supabase } from './db'

export function start() {
  supabase
    .channel('metrics')
    .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'metrics' }, () => {})
    .subscribe()
}

export function logout() {
  supabase.removeAllChannels()
}
start()
window.addEventListener('logout', logout)
