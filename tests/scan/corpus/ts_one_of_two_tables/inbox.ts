import { supabase } from './client'

const SANDBOX = import.meta.env.MODE !== 'production'

export function openInbox(archived: boolean, onMail: () => void) {
  const table = archived ? 'mail_archive' : 'mail'
  const channel = supabase
    .channel(`inbox-${table}`)
    .on('postgres_changes', { event: archived ? '*' : 'INSERT', schema: 'public', table: 'mail_log' }, onMail)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table }, onMail)
    .subscribe()
  return () => void supabase.removeChannel(channel)
}

const close = openInbox(SANDBOX, () => location.reload())
addEventListener('pagehide', close)
