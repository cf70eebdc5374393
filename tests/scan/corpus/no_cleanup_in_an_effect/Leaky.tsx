import { useEffect } from 'react'
import { supabase } from './db'

export function Leaky() {
  useEffect(() => {
    supabase
      .channel('leaky')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'drops' }, () => {})
      .subscribe()
  }, [])
  return null
}
