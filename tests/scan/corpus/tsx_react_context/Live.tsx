import { createContext, useCallback, useContext, useEffect, type ReactNode } from 'react'
import { supabase } from './db'

interface Wanted {
  event?: 'INSERT' | 'DELETE' | '*'
  filter?: string
}

const LiveContext = createContext<any>(null)

export function LiveProvider({ children }: { children: ReactNode }) {
  const subscribe = useCallback(
    (table: string, onChange: () => void, { event = '*', filter }: Wanted = {}) => {
      const channel = supabase
        .channel(`live-${table}`)
        .on('postgres_changes', { event, schema: 'public', table, filter }, onChange)
        .subscribe()
      return () => supabase.removeChannel(channel)
    },
    [],
  )
  return <LiveContext.Provider value={{ subscribe }}>{children}</LiveContext.Provider>
}

export const useLive = () => useContext(LiveContext)

export function useLiveTable(table: string, onChange: () => void, wanted?: Wanted) {
  const { subscribe } = useLive()
  useEffect(() => subscribe(table, onChange, wanted), [subscribe, table])
}
