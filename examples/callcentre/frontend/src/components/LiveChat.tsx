import { useEffect, useState } from 'react';
import { supabase } from '../supabase';
import type { Message, PlannedCall, Prospect } from '../rows';

/** The open chat: its messages, the prospect's card, planned calls, labels. */
export function LiveChat({ prospectId }: { prospectId: number }) {
  const [messages, setMessages] = useState<Message[]>([]);
  const [prospect, setProspect] = useState<Prospect | null>(null);
  const [planned, setPlanned] = useState<PlannedCall | null>(null);
  const [labels, setLabels] = useState(0);

  useEffect(() => {
    const channel = supabase
      .channel(`live-chat-${prospectId}-${Date.now()}`)
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'mensajes_whatsapp' }, (payload) => {
        const message = payload.new as Message;
        if (message.prospecto_id === prospectId) setMessages((known) => [...known, message]);
      })
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'prospectos' }, (payload) => {
        const changed = payload.new as Prospect;
        if (changed.id === prospectId) setProspect(changed);
      })
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'llamadas_programadas' }, (payload) => {
        setPlanned(payload.new as PlannedCall);
      })
      // A table that left the publication long ago.
      .on('postgres_changes', { event: '*', schema: 'public', table: 'etiquetas_chat' }, () => {
        setLabels((count) => count + 1);
      })
      .subscribe();

    return () => {
      supabase.removeChannel(channel);
    };
  }, [prospectId]);

  return (
    <section>
      <h2>{prospect?.nombre}</h2>
      <p>{planned?.programada_para}</p>
      <p>{labels}</p>
      {messages.map((message) => (
        <p key={message.id}>{message.mensaje}</p>
      ))}
    </section>
  );
}
