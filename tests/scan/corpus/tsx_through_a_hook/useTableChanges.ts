import { useEffect } from 'react'
import { supabase } from './db'

export function useTableChanges(table: string, onChange: () => void) {
  useEffect(() => {
    const channel = supabase
      .channel(`changes-${table}`)
      .on('postgres_changes', { event: '*', schema: 'public', table }, onChange)
      .subscribe()
    return () => {
      supabase.removeChannel(channel)
    }
  }, [table, onChange])
}
