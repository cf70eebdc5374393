import { supabase } from './db'

export const s = supabase
	.channel('bom')
	.on('postgres_changes', {
		event: 'INSERT',
		schema: 'public',
		table: 'marks',
	}, () => {})
	.subscribe()
