import { useCallback, useEffect, useState } from 'react';
import { supabase } from '../supabase';
import { loadCalls } from '../services/callListener';
import type { Call } from '../rows';

/** The supervisor's board of calls. A poll keeps it right while changes do not come. */
export function LiveMonitor() {
  const [calls, setCalls] = useState<Record<number, Call>>({});

  const show = useCallback((call: Call) => {
    setCalls((known) => ({ ...known, [call.call_id]: call }));
  }, []);

  useEffect(() => {
    const channel = supabase
      .channel(`live-monitor-${Date.now()}`)
      .on(
        'postgres_changes',
        { event: 'INSERT', schema: 'public', table: 'llamadas_ventas' },
        (payload) => show(payload.new as Call),
      )
      .on(
        'postgres_changes',
        { event: 'UPDATE', schema: 'public', table: 'llamadas_ventas' },
        (payload) => show(payload.new as Call),
      )
      .subscribe();

    const poll = setInterval(() => {
      void loadCalls().then((rows) => rows.forEach(show));
    }, 30_000);

    return () => {
      clearInterval(poll);
      supabase.removeChannel(channel);
    };
  }, [show]);

  return (
    <ul>
      {Object.values(calls).map((call) => (
        <li key={call.call_id}>
          {call.call_id}: {call.estado}
        </li>
      ))}
    </ul>
  );
}
