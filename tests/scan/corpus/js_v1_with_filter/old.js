const { createClient } = require('@supabase/supabase-js')
const supabase = createClient('http://localhost', 'key')

supabase
  .from('rooms:id=eq.5')
  .on('*', (payload) => { console.log('changed', payload) })
  .subscribe()
