import { supabase } from '../lib/supabase'

const TABLES = ['invoices', 'payments', 'refunds'] as const

export function watchAll(changed: (table: string) => void) {
  const channel = supabase.channel('finance')
  for (const table of TABLES) {
    channel.on('postgres_changes', { event: '*', schema: 'public', table }, () => changed(table))
  }
  channel.subscribe()
  return () => void supabase.removeChannel(channel)
}

export const stop = watchAll(console.log)
