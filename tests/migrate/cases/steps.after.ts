import { hub } from '@/lib/realtimeHub';

export function watch(id: string, show: (row: unknown) => void, warn: () => void) {
  const unsubscribeCalls = hub
    .subscribe('calls', 'UPDATE', (payload) => {
      show(payload.new);
    });

  const unsubscribes: (() => void)[] = [];
  unsubscribes.push(hub.subscribe('alerts', 'INSERT', warn));
  unsubscribes.push(hub.subscribe('alerts', 'DELETE', warn));

  return () => {
    unsubscribeCalls();
    unsubscribes.forEach((stop) => stop());
  };
}
