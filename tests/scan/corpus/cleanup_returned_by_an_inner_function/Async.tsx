import { useEffect } from 'react'
import { supabase } from './db'

export function Async() {
  useEffect(() => {
    const open = async () => {
      await supabase.auth.getSession()
      const channel = supabase
        .channel('async')
        .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'late' }, () => {})
        .subscribe()
      return () => supabase.removeChannel(channel)
    }
    open()
  }, [])
  return null
}
