import { supabase } from './db'

let channel: any

export function open() {
  channel = supabase
    .channel('first')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'firsts' }, () => {})
    .subscribe()
  channel = supabase
    .channel('second')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'seconds' }, () => {})
    .subscribe()
}
export function close() {
  supabase.removeChannel(channel)
}
open()
window.addEventListener('unload', close)
