import { createClient } from '@supabase/supabase-js'

const db = createClient(process.env.URL!, process.env.KEY!)
const room = db.channel('room-1')

room.on('postgres_changes', { event: 'UPDATE', schema: 'public', table: 'messages' }, (p) => {
  console.log(p.new)
})
room.on('postgres_changes', { event: 'DELETE', schema: 'public', table: 'messages' }, (p) => {
  console.log(p.old)
})
room.subscribe()
