import { supabase } from './init'

const messages = supabase
  .from('messages')
  .on('INSERT', (payload) => console.log(payload.new))
  .subscribe()

window.addEventListener('unload', () => supabase.removeSubscription(messages))
