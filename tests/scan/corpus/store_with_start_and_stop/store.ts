import { create } from 'zustand'
import { supabase } from './db'

let channel: ReturnType<typeof supabase.channel> | null = null

export const useStore = create((set) => ({
  rows: [],
  start: () => {
    channel = supabase
      .channel('store')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'rows' }, (p) => set({ last: p.new }))
      .subscribe()
  },
  stop: () => {
    if (channel) supabase.removeChannel(channel)
    channel = null
  },
}))
