import { supabase } from './db'

const changesOf = (table: string, handler: () => void) =>
  ['postgres_changes', { event: 'UPDATE', schema: 'public', table }, handler] as const

export const board = supabase
  .channel('board')
  .on(...changesOf('tickets', console.log))
  .on(...changesOf('shelves', console.log))
  .subscribe()

export function listen(...given: unknown[]) {
  return supabase.channel('any').on(...given).subscribe()
}

emitter.on(...listeners)
