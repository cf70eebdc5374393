import { supabase } from './supabase';

export function chat(room: string, table: string, show: (change: unknown) => void) {
  const both = supabase
    .channel(room)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
    .on('broadcast', { event: 'typing' }, show)
    .subscribe();
  const spoken = supabase
    .channel(`said-${room}`)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
    .subscribe((status) => console.log(status));
  const sent = supabase
    .channel(`sent-${room}`)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
    .subscribe();
  void sent.send({ type: 'broadcast', event: 'hello' });
  const dynamic = supabase
    .channel('dynamic')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table }, show)
    .subscribe();
  const priv = supabase
    .channel('private', { config: { private: true } })
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
    .subscribe();
  const once = supabase
    .channel('once')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, () => {
      void supabase.removeChannel(once);
    })
    .subscribe();
  const gone = supabase
    .channel('gone')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'messages' }, show)
    .subscribe();
  void supabase.removeChannel(gone).then(() => show('gone'));
  show(supabase.from('messages').on('INSERT', show).subscribe());
  return [both, spoken, dynamic, priv];
}

export const open = (show: () => void) =>
  supabase
    .channel('open')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'messages' }, show)
    .subscribe();

supabase
  .channel('lobby')
  .on('postgres_changes', { event: '*', schema: 'public', table: 'messages' }, console.log)
  .subscribe();
void supabase.channel('lobby').send({ type: 'broadcast', event: 'hello' });

export class Board {
  channel: unknown;

  start() {
    this.channel = supabase
      .channel('board')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'messages' }, console.log)
      .subscribe();
  }
}
