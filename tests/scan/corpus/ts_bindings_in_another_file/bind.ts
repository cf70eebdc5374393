import type { RealtimeChannel } from '@supabase/supabase-js'

export function bindOrders(channel: RealtimeChannel) {
  channel.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'orders' }, () => {})
}
