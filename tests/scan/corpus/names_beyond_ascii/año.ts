import { supabase as bd } from './db'

const título = 'facturación'
export const señal = bd
  .channel('señal ☎')
  .on('postgres_changes', { event: 'INSERT', schema: 'público', table: título, filter: 'ciudad=eq.León' }, () => {})
  .subscribe()
