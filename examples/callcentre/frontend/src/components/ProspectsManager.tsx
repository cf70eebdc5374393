import { useEffect, useState } from 'react';
import { supabase } from '../supabase';
import { maySee, type Agent } from '../services/permissions';
import type { Prospect } from '../rows';

/** The table of prospects, as far as the agent's permissions go. */
export function ProspectsManager({ agent }: { agent: Agent }) {
  const [prospects, setProspects] = useState<Map<number, Prospect>>(new Map());

  useEffect(() => {
    const handleUpdate = (payload: { new: object }) => {
      const prospect = payload.new as Prospect;
      if (!maySee(agent, prospect)) return;
      setProspects((known) => new Map(known).set(prospect.id, prospect));
    };

    const subscription = supabase
      .channel('prospects-manager-' + Date.now())
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'prospectos' }, handleUpdate)
      .subscribe();

    return () => {
      subscription.unsubscribe();
    };
  }, [agent]);

  return (
    <table>
      <tbody>
        {[...prospects.values()].map((prospect) => (
          <tr key={prospect.id}>
            <td>{prospect.nombre}</td>
            <td>{prospect.etapa}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
