import type { RealtimeChannel } from '@supabase/supabase-js';
import { supabase } from '../supabase';
import type { Call } from '../rows';

const DEBOUNCE_MS = 300;
const GRACE_MS = 5_000;

/** All calls that are going on; one that has ended stays for a grace period. */
class LiveActivityStore {
  readonly calls = new Map<number, Call>();
  private listeners = new Set<() => void>();
  private channel: RealtimeChannel | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;

  start() {
    if (this.channel) return;
    this.channel = supabase
      .channel('live-activity-' + Date.now())
      .on(
        'postgres_changes',
        { event: '*', schema: 'public', table: 'llamadas_ventas' },
        (payload) => {
          const call = (payload.eventType === 'DELETE' ? payload.old : payload.new) as Call;
          if (payload.eventType === 'DELETE' || call.estado === 'finalizada') {
            setTimeout(() => this.remove(call.call_id), GRACE_MS);
          } else {
            this.calls.set(call.call_id, call);
          }
          this.changed();
        },
      )
      .subscribe();
  }

  stop() {
    if (this.channel) {
      supabase.removeChannel(this.channel);
      this.channel = null;
    }
  }

  onChange(listener: () => void) {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  }

  private remove(callId: number) {
    this.calls.delete(callId);
    this.changed();
  }

  private changed() {
    if (this.timer) clearTimeout(this.timer);
    this.timer = setTimeout(() => this.listeners.forEach((listener) => listener()), DEBOUNCE_MS);
  }
}

export const liveActivity = new LiveActivityStore();
