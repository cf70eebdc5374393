import type { SupabaseClient } from '@supabase/supabase-js'

export function watchStock(db: SupabaseClient, onRow: (row: object) => void): () => void {
  const channel = db
    .channel('stock')
    .on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'stock' }, (p) => onRow(p.old))
    .subscribe()
  return () => {
    channel.unsubscribe()
  }
}
