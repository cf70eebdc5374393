import { supabase } from './db'

const config = {
  event: 'INSERT' as const,
  schema: 'public',
  table: 'alerts',
  filter: 'level=eq.high',
}

export const alerts = supabase.channel('alerts').on('postgres_changes', config, console.warn).subscribe()
