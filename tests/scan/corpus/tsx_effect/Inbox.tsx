import { useEffect, useState } from 'react'
import { supabase } from '@/lib/supabase'

export function Inbox({ userId }: { userId: string }) {
  const [count, setCount] = useState(0)

  useEffect(() => {
    const channel = supabase
      .channel(`inbox:${userId}`)
      .on(
        'postgres_changes',
        { event: 'INSERT', schema: 'public', table: 'mails', filter: `owner=eq.${userId}` },
        () => setCount((n) => n + 1),
      )
      .subscribe()
    return () => {
      supabase.removeChannel(channel)
    }
  }, [userId])

  return <b>{count}</b>
}
