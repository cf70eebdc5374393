import { supabase } from './supabase'

export const channels = ['a_events', 'b_events'].map((name) =>
  supabase
    .channel(`watch:${name}`)
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: name }, console.log)
    .subscribe(),
)
