import { supabase } from './db'

interface Options {
  table: string
  event?: 'INSERT' | 'UPDATE'
  filter?: string
}

export function listen(options: Options, onRow: () => void) {
  const full = { event: '*', schema: 'public', ...options }
  const channel = supabase
    .channel(full.table)
    .on('postgres_changes', { event: full.event, schema: full.schema, table: full.table, filter: full.filter }, onRow)
    .subscribe()
  return () => supabase.removeChannel(channel)
}

const PLACES = { north: 'north_gate', south: 'south_gate' }

export const stops = [
  listen({ table: 'gates' }, console.log),
  listen({ table: 'locks', event: 'UPDATE', filter: 'open=eq.false' }, console.log),
  ...Object.keys(PLACES).map((side) => listen({ table: PLACES[side], event: 'INSERT' }, console.log)),
]

export const lamps = ['lamps', 'fuses'].reduce(
  (channel, table) => channel.on('postgres_changes', { event: 'DELETE', schema: 'public', table }, console.log),
  supabase.channel('lamps'),
)
lamps.subscribe()
window.addEventListener('beforeunload', () => supabase.removeChannel(lamps))
