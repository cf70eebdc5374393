import { useEffect, useRef } from 'react'
import type { RealtimeChannel, RealtimePostgresInsertPayload } from '@supabase/supabase-js'
import { supabase } from '@/lib/supabase'

interface Call {
  id: number
}

export function Calls({ agent, onCall }: { agent: string; onCall: (call: Call) => void }) {
  const channelRef = useRef<RealtimeChannel | null>(null)

  useEffect(() => {
    channelRef.current = supabase
      .channel(`calls-${Date.now()}`)
      .on<Call>(
        'postgres_changes',
        { event: 'INSERT', schema: 'public', table: 'calls', filter: `agent=eq.${agent}` },
        (payload: RealtimePostgresInsertPayload<Call>) => {
          onCall(payload.new)
        },
      )
      .subscribe()

    return () => {
      if (channelRef.current) {
        void supabase.removeChannel(channelRef.current)
        channelRef.current = null
      }
    }
  }, [agent, onCall])

  return null
}
