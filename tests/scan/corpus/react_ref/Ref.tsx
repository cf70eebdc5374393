import { useEffect, useRef } from 'react'
import type { RealtimeChannel } from '@supabase/supabase-js'
import { supabase } from './db'

export function Ref() {
  const channelRef = useRef<RealtimeChannel | null>(null)

  useEffect(() => {
    channelRef.current = supabase
      .channel('ref')
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'profiles' }, () => {})
      .subscribe()
    return () => {
      if (channelRef.current) supabase.removeChannel(channelRef.current)
    }
  }, [])
  return null
}
