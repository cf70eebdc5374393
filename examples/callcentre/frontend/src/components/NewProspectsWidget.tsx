import { useEffect, useState } from 'react';
import { supabase } from '../supabase';
import type { Message, Prospect } from '../rows';

/** Prospects that have come, that want attention, or that have written. */
export function NewProspectsWidget() {
  const [news, setNews] = useState<string[]>([]);
  const say = (text: string) => setNews((known) => [text, ...known].slice(0, 50));

  useEffect(() => {
    const inserted = supabase
      .channel(`new-prospects-${Date.now()}`)
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'prospectos' }, (payload) => {
        say(`nuevo: ${(payload.new as Prospect).nombre}`);
      })
      .subscribe();

    const updated = supabase
      .channel(`prospects-attention-${Date.now()}`)
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'prospectos' }, (payload) => {
        const prospect = payload.new as Prospect;
        if (prospect.requiere_atencion) say(`atención: ${prospect.nombre}`);
      })
      .subscribe();

    const written = supabase
      .channel(`prospects-messages-${Date.now()}`)
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'mensajes_whatsapp' }, (payload) => {
        const message = payload.new as Message;
        if (message.rol === 'cliente') say(`mensaje de ${message.prospecto_id}`);
      })
      .subscribe();

    return () => {
      supabase.removeChannel(inserted);
      supabase.removeChannel(updated);
      supabase.removeChannel(written);
    };
  }, []);

  return (
    <ol>
      {news.map((text, place) => (
        <li key={place}>{text}</li>
      ))}
    </ol>
  );
}
