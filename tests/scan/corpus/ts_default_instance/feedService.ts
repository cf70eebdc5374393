import { supabase } from './db'

class FeedService {
  subscribe(table: string, onRow: (row: unknown) => void) {
    const channel = supabase
      .channel(`feed:${table}`)
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table }, onRow)
      .subscribe()
    return () => supabase.removeChannel(channel)
  }
}

export default new FeedService()
