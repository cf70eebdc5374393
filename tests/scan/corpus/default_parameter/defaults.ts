import { supabase } from './db'

export function on(handler: () => void, { table = 'visits', event = 'INSERT' } = {}) {
  return supabase
    .channel('defaults')
    .on('postgres_changes', { event, schema: 'public', table } as any, handler)
    .subscribe()
}

export const visits = on(() => {})
