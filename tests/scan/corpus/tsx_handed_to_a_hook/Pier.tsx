import { useCallback } from 'react'
import { useChannel } from './useChannel'
import { supabase } from './db'

const follow = () =>
  supabase
    .channel('tides')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'tides' }, console.log)
    .subscribe()

export function Pier({ id }: { id: string }) {
  useChannel(follow)
  useChannel(
    useCallback(
      () =>
        supabase
          .channel(`pier-${id}`)
          .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'piers' }, console.log)
          .subscribe(),
      [id],
    ),
  )
  return null
}
