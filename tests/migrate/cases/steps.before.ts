import { supabase } from './supabase';

export function watch(id: string, show: (row: unknown) => void, warn: () => void) {
  const callsChannel = supabase.channel('calls:' + id);

  callsChannel
    .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'calls' }, (payload) => {
      show(payload.new);
    })
    .subscribe();

  const sub = supabase.channel('alerts');
  sub.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'alerts' }, warn);
  sub.on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'alerts' }, warn);
  sub.subscribe();

  return () => {
    supabase.removeChannel(callsChannel);
    sub.unsubscribe();
  };
}
