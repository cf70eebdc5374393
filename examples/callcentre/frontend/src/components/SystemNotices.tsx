import { useEffect, useState } from 'react';
import { supabaseSystemUI } from '../supabase';

const TABLES = [
  'auth_user_coordinaciones',
  'bot_pause_status',
  'conversaciones_whatsapp',
  'support_ticket_comments',
  'support_ticket_notifications',
  'support_tickets',
  'system_config',
  'user_notifications',
  'whatsapp_campaigns',
];

/** What the frame around the pages counts: one channel for each of the quiet tables. */
export function SystemNotices() {
  const [counts, setCounts] = useState<Record<string, number>>({});

  useEffect(() => {
    const channels = TABLES.map((table) =>
      supabaseSystemUI
        .channel(`system-ui:${table}`)
        .on('postgres_changes', { event: '*', schema: 'public', table }, () => {
          setCounts((known) => ({ ...known, [table]: (known[table] ?? 0) + 1 }));
        })
        .subscribe(),
    );
    return () => {
      channels.forEach((channel) => void supabaseSystemUI.removeChannel(channel));
    };
  }, []);

  return <small>{Object.keys(counts).length}</small>;
}
