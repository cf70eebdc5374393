import { supabase } from './db'

export function follow(tables: string | string[], refresh: (table: string) => void) {
  const wanted = Array.isArray(tables) ? tables : [tables]
  const channels = wanted.map((table) =>
    supabase
      .channel(`follow-${table}`)
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table }, () => refresh(table))
      .subscribe(),
  )
  return () => channels.forEach((channel) => supabase.removeChannel(channel))
}

export function followNew(tables: string | string[], refresh: () => void) {
  const channel = supabase.channel('new-rows')
  for (const table of typeof tables === 'string' ? [tables] : tables) {
    channel.on('postgres_changes', { event: 'INSERT', schema: 'public', table }, refresh)
  }
  channel.subscribe()
  return () => supabase.removeChannel(channel)
}
