import { useEffect, useState } from 'react';
import { supabase } from '../supabase';
import type { Call } from '../rows';

/** The call that is open on the screen. */
export function ActiveCallDetail({ callId }: { callId: number }) {
  const [call, setCall] = useState<Call | null>(null);

  useEffect(() => {
    const channel = supabase
      .channel(`call-detail-${callId}-${Date.now()}`)
      .on('postgres_changes', {
        event: 'UPDATE',
        schema: 'public',
        table: 'llamadas_ventas',
        filter: `call_id=eq.${callId}`,
      }, (payload) => {
        setCall(payload.new as Call);
      })
      .subscribe();
    return () => { supabase.removeChannel(channel); };
  }, [callId]);

  return call && <h2>{call.call_id}: {call.estado}, {call.duracion_s} s</h2>;
}
