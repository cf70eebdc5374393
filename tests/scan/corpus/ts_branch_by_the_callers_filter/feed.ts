import { supabase } from './db'

type Narrowing = { column: string; value: string }

export function listen(table: string, handler: () => void, narrowing?: Narrowing) {
  let channel = supabase.channel(table)
  if (narrowing) {
    const { column, value } = narrowing
    channel = channel.on('postgres_changes', { event: '*', schema: 'public', table, filter: `${column}=eq.${value}` }, handler)
  } else {
    channel = channel.on('postgres_changes', { event: '*', schema: 'public', table }, handler)
  }
  channel.subscribe()
  return () => supabase.removeChannel(channel)
}

export const stopShelves = listen('shelves', console.log)
export const stopOrders = listen('orders', console.log, { column: 'state', value: 'open' })
