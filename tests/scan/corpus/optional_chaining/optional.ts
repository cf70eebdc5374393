import { getClient } from './db'

const client = getClient()
const live = client?.channel('optional')
live?.on('postgres_changes', { event: 'INSERT', schema: 'public', table: 'guests' }, () => {})
live?.subscribe()
