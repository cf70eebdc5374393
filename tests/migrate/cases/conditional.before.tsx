import { useEffect } from 'react'
import { supabase } from './supabase'
import type { RealtimeChannel } from '@supabase/supabase-js'

export function useOrders(open: boolean, load: () => Promise<void>, draw: () => void) {
  useEffect(() => {
    let channel: RealtimeChannel | undefined

    const start = async () => {
      await load()
      if (open) {
        channel = supabase
          .channel('open')
          .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'orders' }, draw)
          .subscribe()
      } else {
        channel = supabase
          .channel('done')
          .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'orders' }, draw)
          .subscribe()
      }
    }
    void start()

    return () => {
      channel && supabase.removeChannel(channel)
    }
  }, [open, load, draw])
}
