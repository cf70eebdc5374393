import express from 'express'
import { supabase } from './db'

const app = express()

app.get('/events', (request, response) => {
  supabase
    .channel('sse-' + request.ip)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'events' }, (p) => {
      response.write(`data: ${JSON.stringify(p.new)}\n\n`)
    })
    .subscribe()
})
app.listen(3000)
