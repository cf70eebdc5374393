import { create } from 'zustand'
import { supabase } from './db'
import { FLAGS } from './flags'

let mode = 'local'

export function watchHerd() {
  if (!FLAGS.live) return
  supabase
    .channel('herd')
    .on('postgres_changes', { event: '*', schema: 'public', table: 'cows' }, console.log)
    .subscribe()
  if (mode === 'cloud') {
    supabase
      .channel('pastures')
      .on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'pastures' }, console.log)
      .subscribe()
  }
}

export const useFarm = create((set, get) => ({
  farmId: null,
  dog: '',
  enter: (farmId: string, dog: string) => set({ farmId, dog }),
  watch() {
    const { farmId } = get()
    if (!farmId) return
    let channel = supabase
      .channel('farm')
      .on('postgres_changes', { event: '*', schema: 'public', table: 'farms', filter: `id=eq.${farmId}` }, console.log)
    if (get().dog) {
      channel = channel.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'walks', filter: `dog=eq.${get().dog}` }, console.log)
    }
    channel.subscribe()
  },
}))
