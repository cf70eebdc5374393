import { useEffect, useState } from 'react';
import { supabase } from '../supabase';
import type { Message, Prospect } from '../rows';

/** Conversations with their last message, those of uChat beside them. */
export function ConversationsWidget() {
  const [last, setLast] = useState<Record<number, string>>({});
  const [names, setNames] = useState<Record<number, string>>({});
  const [external, setExternal] = useState(0);

  useEffect(() => {
    const whatsapp = supabase
      .channel('conversations-' + Date.now())
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'prospectos' }, (payload) => {
        const prospect = payload.new as Prospect;
        setNames((known) => ({ ...known, [prospect.id]: prospect.nombre }));
      })
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'mensajes_whatsapp' }, (payload) => {
        const message = payload.new as Message;
        setLast((known) => ({ ...known, [message.prospecto_id]: message.mensaje }));
      })
      .subscribe();

    // Has never said anything: these tables are in no publication.
    const uchat = supabase
      .channel('uchat-realtime')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'uchat_conversations' }, () => {
        setExternal((count) => count + 1);
      })
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'uchat_messages' }, () => {
        setExternal((count) => count + 1);
      })
      .subscribe();

    return () => {
      supabase.removeChannel(whatsapp);
      supabase.removeChannel(uchat);
    };
  }, []);

  return (
    <dl>
      <dt>uChat</dt>
      <dd>{external}</dd>
      {Object.entries(last).map(([id, text]) => (
        <div key={id}>
          <dt>{names[Number(id)] ?? id}</dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}
