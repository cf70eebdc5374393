import { useEffect } from 'react'
import { registry } from './registry'

export function useFollowed(wanted: { name: string; rows?: string }, onRow: () => void) {
  useEffect(() => {
    const id = registry.follow(wanted, onRow)
    return () => registry.leave(id)
  }, [wanted.name, wanted.rows])
}
