import { useEffect } from 'react'

export function useChannel(open: () => { unsubscribe(): void }) {
  useEffect(() => {
    const channel = open()
    return () => {
      channel.unsubscribe()
    }
  }, [open])
}
