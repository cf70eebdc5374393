import type { RealtimeChannel, SupabaseClient } from '@supabase/supabase-js'

export class LiveOrders {
  private channel: RealtimeChannel | null = null

  constructor(private readonly db: SupabaseClient) {}

  start(onOrder: (row: object) => void) {
    this.channel = this.db
      .channel('live-orders')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'orders' }, (change) =>
        onOrder(change.new),
      )
      .subscribe()
  }

  pause() {
    if (this.channel) void this.db.removeChannel(this.channel)
    this.channel = null
  }
}
