import { supabase } from './db'

const channel = supabase.channel('late').subscribe()
channel.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'missed' }, () => {})
