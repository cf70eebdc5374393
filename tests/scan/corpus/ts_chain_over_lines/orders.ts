import { supabase } from './client'

export function watchOrders(onOrder: (row: unknown) => void) {
  const channel = supabase
    .channel('orders')
    .on(
      'postgres_changes',
      {
        event: 'INSERT',
        schema: 'public',
        table: 'orders',
      },
      (payload) => onOrder(payload.new),
    )
    .subscribe()

  return () => {
    supabase.removeChannel(channel)
  }
}
