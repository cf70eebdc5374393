export function board(client: any, draw: () => void) {
  return client.channel('board')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'cards' }, draw)
    .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'columns' }, draw)
    .on('postgres_changes', { event: '*', schema: 'archive', table: 'boards' }, draw)
    .subscribe()
}
board((globalThis as any).supabase, () => {})
