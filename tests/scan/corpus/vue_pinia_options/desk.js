import { defineStore } from 'pinia'
import { supabase } from './db'

export const useDesk = defineStore('desk', {
  state: () => ({ open: {} }),
  actions: {
    listen(table) {
      this.open[table] = supabase
        .channel(`desk-${table}`)
        .on('postgres_changes', { event: 'INSERT', schema: 'public', table }, this.ring)
        .subscribe()
    },
    hush(table) {
      supabase.removeChannel(this.open[table])
    },
    ring() {},
  },
})
