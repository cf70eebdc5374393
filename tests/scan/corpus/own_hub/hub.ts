import { RealtimeChannel } from '@supabase/supabase-js'
import { supabase } from './db'

type Listener = (payload: any) => void

class Hub {
  private channels = new Map<string, RealtimeChannel>()
  private listeners = new Map<string, Set<Listener>>()

  subscribe(table: string, listener: Listener) {
    const set = this.listeners.get(table) ?? new Set()
    set.add(listener)
    this.listeners.set(table, set)
    if (!this.channels.has(table)) {
      const channel = supabase
        .channel(`hub:${table}`)
        .on('postgres_changes', { event: '*', schema: 'public', table }, (p) => {
          this.listeners.get(table)?.forEach((each) => each(p))
        })
        .subscribe()
      this.channels.set(table, channel)
    }
    return () => {
      set.delete(listener)
      if (set.size === 0) {
        supabase.removeChannel(this.channels.get(table)!)
        this.channels.delete(table)
      }
    }
  }
}

export const hub = new Hub()
