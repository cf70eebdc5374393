import { useEffect } from 'react'
import { supabase } from './supabase'

export default function Clock() {
  useEffect(() => {
    const name = `ticks-${Date.now()}`
    const ch = supabase.channel(name)
    ch.on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'ticks' }, () => {})
    ch.subscribe()
    return () => { void ch.unsubscribe() }
  }, [])
  return <i />
}
