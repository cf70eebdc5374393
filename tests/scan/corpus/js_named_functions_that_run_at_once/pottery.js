import { supabase } from './db.js'

function listen() {
  for (const table of ['kilns', 'glazes']) {
    supabase
      .channel(`pottery-${table}`)
      .on('postgres_changes', { event: '*', schema: 'public', table }, console.log)
      .subscribe()
  }
}

;(async function begin() {
  await supabase.auth.getUser()
  listen()
})()

window.addEventListener('online', function again() {
  supabase
    .channel('pottery-orders')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'orders' }, console.log)
    .subscribe()
})
