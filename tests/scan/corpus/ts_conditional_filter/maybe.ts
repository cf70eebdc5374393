import { supabase } from './db'

export function watch(team: string | null) {
  return supabase
    .channel('team')
    .on(
      'postgres_changes',
      { event: 'INSERT', schema: 'public', table: 'tasks', filter: team ? `team=eq.${team}` : undefined },
      () => {},
    )
    .subscribe()
}
watch(null)
