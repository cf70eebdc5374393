import type { RealtimeChannel } from '@supabase/supabase-js'
import { supabase } from './db'

interface Guest {
  table: string
  onArrival?: (row: unknown) => void
  onChange?: (row: unknown) => void
  onLeaving?: (row: unknown) => void
}

export class Hall {
  private static only: Hall
  private readonly seats = new Map<string, RealtimeChannel>()

  static getInstance(): Hall {
    if (!Hall.only) Hall.only = new Hall()
    return Hall.only
  }

  subscribe(seat: string, guest: Guest) {
    const channel = supabase.channel(seat)
    const at = { schema: 'public', table: guest.table }
    if (guest.onArrival) channel.on('postgres_changes', { event: 'INSERT', ...at }, guest.onArrival)
    if (guest.onChange && !this.seats.has(seat)) {
      channel.on('postgres_changes', { event: 'UPDATE', ...at }, guest.onChange)
    }
    guest.onLeaving && channel.on('postgres_changes', { event: 'DELETE', ...at }, guest.onLeaving)
    this.seats.set(seat, channel.subscribe())
    return () => this.clear(seat)
  }

  clear(seat: string) {
    const channel = this.seats.get(seat)
    if (channel) supabase.removeChannel(channel)
    this.seats.delete(seat)
  }
}

export const hall = Hall.getInstance()
