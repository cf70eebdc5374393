import { supabase } from '../supabase';
import type { Call } from '../rows';

type OnCall = (call: Call) => void;

/** Loads what a supervisor's export needs. */
export async function loadCalls(limit = 200): Promise<Call[]> {
  const { data, error } = await supabase
    .from('llamadas_ventas')
    .select('*')
    .order('fecha', { ascending: false })
    .limit(limit);
  if (error) throw error;
  return data as Call[];
}

// Was to replace the polling of live_monitor_view. Nothing ever called it.
export function subscribeToChanges(onCall: OnCall) {
  return supabase
    .channel('call-listener')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'llamadas_ventas' }, (payload) => {
      onCall(payload.new as Call);
    })
    .subscribe();
}

// const coordinations = supabase
//   .channel('coordinaciones-changes')
//   .on('postgres_changes', { event: '*', schema: 'public', table: 'coordinaciones' }, reload)
//   .subscribe();
