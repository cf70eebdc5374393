import type { SupabaseClient } from '@supabase/supabase-js'

/** Whoever calls this closes it. */
export function listenToShifts(db: SupabaseClient, team: number, onShift: (row: object) => void) {
  const channel = db
    .channel(`shifts:${team}`)
    .on(
      'postgres_changes',
      {
        event: 'INSERT',
        schema: 'rota',
        table: 'shifts',
        filter: `team=eq.${team}`,
      },
      (payload) => onShift(payload.new),
    )
    .subscribe()
  return () => {
    void db.removeChannel(channel)
  }
}
