import { useEffect } from 'react'
import { useLive, useLiveTable } from './Live'

export function Kiosk({ reload }: { reload: () => void }) {
  const { subscribe } = useLive()
  useEffect(() => subscribe('offers', reload, { event: 'INSERT', filter: 'open=eq.true' }), [])
  useLiveTable('seats', reload)
  return null
}
