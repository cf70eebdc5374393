import { create } from 'zustand'
import { supabase } from './db'

const EVERY_NIGHT = ['beds', 'alarms'] as const

interface Ward {
  open: Record<string, unknown>
  watch: (table: string, event?: 'INSERT' | 'UPDATE') => void
  watchAll: () => void
  stop: (table: string) => void
}

export const useWard = create<Ward>()((set, get) => ({
  open: {},
  watch: (table, event = 'UPDATE') => {
    if (get().open[table]) return
    const channel = supabase
      .channel(`ward-${table}`)
      .on('postgres_changes', { event, schema: 'public', table }, console.log)
      .subscribe()
    set((ward) => ({ open: { ...ward.open, [table]: channel } }))
  },
  watchAll: () => EVERY_NIGHT.forEach((table) => get().watch(table)),
  stop: (table) => {
    const channel = get().open[table]
    if (channel) supabase.removeChannel(channel)
  },
}))
