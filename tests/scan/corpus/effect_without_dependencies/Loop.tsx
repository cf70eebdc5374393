import { useEffect, useState } from 'react'
import { supabase } from './db'

export function Loop() {
  const [n, setN] = useState(0)
  useEffect(() => {
    const channel = supabase
      .channel('loop')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'counters' }, () => setN(n + 1))
      .subscribe()
    return () => { supabase.removeChannel(channel) }
  })
  return <b>{n}</b>
}
