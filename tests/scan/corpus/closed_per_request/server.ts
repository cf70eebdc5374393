import express from 'express'
import { supabase } from './db'

const app = express()

app.get('/events', (request, response) => {
  const channel = supabase
    .channel('sse')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'events' }, (p) => {
      response.write(`data: ${JSON.stringify(p.new)}\n\n`)
    })
    .subscribe()
  request.on('close', () => supabase.removeChannel(channel))
})
app.listen(3000)
