import { SupabaseClient, RealtimeChannel } from '@supabase/supabase-js'

export class ChangeService {
  private channel?: RealtimeChannel
  constructor(private readonly client: SupabaseClient, private readonly table: string) {}

  start(handler: () => void) {
    this.channel = this.client
      .channel('svc')
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: this.table }, handler)
      .subscribe()
  }

  stop() {
    this.channel?.unsubscribe()
  }
}
