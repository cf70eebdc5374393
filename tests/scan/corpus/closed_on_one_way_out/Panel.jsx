import { useEffect, useState } from 'react'
import { supabase } from './client'

export function Panel({ muted }) {
  const [rows, setRows] = useState([])

  useEffect(() => {
    const channel = supabase
      .channel('panel')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'alarms' }, (change) =>
        setRows((known) => [...known, change.new]),
      )
      .subscribe()

    if (muted) {
      return
    }
    return () => {
      supabase.removeChannel(channel)
    }
  }, [muted])

  return <pre>{JSON.stringify(rows)}</pre>
}
