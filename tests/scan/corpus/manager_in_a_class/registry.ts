import type { RealtimeChannel } from '@supabase/supabase-js'
import { supabase } from './client'

interface Wanted {
  name: string
  rows?: string
}

class Registry {
  private readonly open = new Map<string, RealtimeChannel>()

  follow(wanted: Wanted, onRow: () => void): string {
    const id = `${wanted.name}:${this.open.size}`
    const channel = supabase.channel(id)
    channel.on(
      'postgres_changes',
      { event: 'UPDATE', schema: 'public', table: wanted.name, filter: wanted.rows },
      onRow,
    )
    channel.subscribe()
    this.open.set(id, channel)
    return id
  }

  leave(id: string): void {
    const channel = this.open.get(id)
    if (channel) void supabase.removeChannel(channel)
    this.open.delete(id)
  }
}

export const registry = new Registry()
