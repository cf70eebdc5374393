import { useEffect } from 'react'
import { hub } from '@/lib/realtimeHub'

export function useOrders(open: boolean, load: () => Promise<void>, draw: () => void) {
  useEffect(() => {
    let unsubscribe: (() => void) | undefined

    const start = async () => {
      await load()
      if (open) {
        unsubscribe = hub.subscribe('orders', 'INSERT', draw)
      } else {
        unsubscribe = hub.subscribe('orders', 'UPDATE', draw)
      }
    }
    void start()

    return () => {
      unsubscribe && unsubscribe()
    }
  }, [open, load, draw])
}
