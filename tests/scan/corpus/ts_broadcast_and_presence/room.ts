import { supabase } from './db'

const room = supabase.channel('room:lobby', { config: { broadcast: { self: true }, presence: { key: 'me' } } })

room
  .on('broadcast', { event: 'cursor' }, ({ payload }) => draw(payload))
  .on('presence', { event: 'sync' }, () => draw(room.presenceState()))
  .on('presence', { event: 'join' }, () => {})
  .subscribe(async (status) => {
    if (status === 'SUBSCRIBED') await room.track({ at: Date.now() })
  })

function draw(_: unknown) {}
