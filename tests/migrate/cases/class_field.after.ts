import { SupabaseClient } from '@supabase/supabase-js';
import { hub } from '@/lib/realtimeHub';

export class Orders {
  private unsubscribes?: (() => void)[];

  constructor(private readonly supabase: SupabaseClient, private reload: () => void) {}

  load() {
    return this.supabase.from('orders').select();
  }

  start(): void {
    this.unsubscribes = [
      hub.subscribe('orders', '*', () => this.reload(), { schema: 'shop' }),
      hub.subscribe('lines', 'DELETE', this.reload, { schema: 'shop' }),
    ];
  }

  async stop(): Promise<void> {
    await this.unsubscribes?.forEach((stop) => stop());
    this.unsubscribes = undefined;
  }
}
