import { supabase } from './db'

export function onTable(table: string, handler: (row: any) => void) {
  const channel = supabase
    .channel('table:' + table)
    .on('postgres_changes', { event: '*', schema: 'public', table: table }, (p) => handler(p.new))
    .subscribe()
  return () => supabase.removeChannel(channel)
}
