import { useEffect, useRef, useState } from 'react';
import { supabase } from '../supabase';
import { maySee, type Agent } from '../services/permissions';
import { ring } from '../services/sound';
import type { Call } from '../rows';

const OVER = new Set(['finalizada', 'fallida']);

/** Active calls of the agent's coordination. A new one rings. */
export function ActiveCallsWidget({ agent }: { agent: Agent }) {
  const [active, setActive] = useState<Call[]>([]);
  const latest = useRef(agent);
  latest.current = agent;

  useEffect(() => {
    const channel = supabase.channel('active-calls-widget-' + Date.now());

    channel.on(
      'postgres_changes',
      { event: 'INSERT', schema: 'public', table: 'llamadas_ventas' },
      (payload) => {
        const call = payload.new as Call;
        if (!maySee(latest.current, call)) return;
        setActive((calls) => [...calls, call]);
        ring();
      },
    );
    channel.on(
      'postgres_changes',
      { event: 'UPDATE', schema: 'public', table: 'llamadas_ventas' },
      (payload) => {
        const call = payload.new as Call;
        setActive((calls) =>
          calls.flatMap((known) => {
            if (known.call_id !== call.call_id) return [known];
            return OVER.has(call.estado) ? [] : [call];
          }),
        );
      },
    );
    channel.subscribe();

    return () => {
      channel.unsubscribe();
    };
  }, []);

  return <p>{active.length} llamadas activas</p>;
}
