import { RealtimeChannel, SupabaseClient } from '@supabase/supabase-js';

export class Orders {
  private channel?: RealtimeChannel;

  constructor(private readonly supabase: SupabaseClient, private reload: () => void) {}

  load() {
    return this.supabase.from('orders').select();
  }

  start(): void {
    this.channel = this.supabase.channel('orders')
      .on('postgres_changes', { event: '*', schema: 'shop', table: 'orders' }, () => this.reload())
      .on('postgres_changes', { event: 'DELETE', schema: 'shop', table: 'lines' }, this.reload)
      .subscribe();
  }

  async stop(): Promise<void> {
    await this.channel?.unsubscribe();
    this.channel = undefined;
  }
}
