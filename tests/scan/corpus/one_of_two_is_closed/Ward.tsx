import { useEffect } from 'react'
import { supabase } from './client'

export function Ward({ id, reload }: { id: string; reload: () => void }) {
  useEffect(() => {
    const beds = supabase
      .channel('ward-beds')
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'beds' }, reload)
      .subscribe()
    const nurses = supabase
      .channel('ward-nurses')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'nurses' }, reload)
      .subscribe()

    return () => {
      supabase.removeChannel(beds)
    }
  }, [id, reload])

  return <button onClick={reload}>{id}</button>
}
