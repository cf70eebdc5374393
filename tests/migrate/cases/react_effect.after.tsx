import { useEffect, useRef } from 'react'
import type { RealtimePostgresInsertPayload } from '@supabase/supabase-js'
import { hub } from '@/lib/realtimeHub'

interface Call {
  id: number
}

export function Calls({ agent, onCall }: { agent: string; onCall: (call: Call) => void }) {
  const unsubscribeRef = useRef<(() => void) | null>(null)

  useEffect(() => {
    unsubscribeRef.current = hub
      .subscribe<Call>(
        'calls',
        'INSERT',
        (payload: RealtimePostgresInsertPayload<Call>) => {
          onCall(payload.new)
        },
        { filter: `agent=eq.${agent}` },
      )

    return () => {
      if (unsubscribeRef.current) {
        void unsubscribeRef.current()
        unsubscribeRef.current = null
      }
    }
  }, [agent, onCall])

  return null
}
