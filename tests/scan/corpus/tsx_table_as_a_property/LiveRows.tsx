import { useEffect } from 'react'
import { supabase } from './db'

type Props = { table: string; event?: 'INSERT' | 'UPDATE'; onRow: (row: unknown) => void }

export function LiveRows({ table, event = 'INSERT', onRow }: Props) {
  useEffect(() => {
    const channel = supabase
      .channel(`rows-${table}`)
      .on('postgres_changes', { event, schema: 'public', table }, (change) => onRow(change.new))
      .subscribe()
    return () => {
      supabase.removeChannel(channel)
    }
  }, [table, event, onRow])
  return null
}
