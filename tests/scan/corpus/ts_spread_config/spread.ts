import { supabase } from './db'

const base = { schema: 'public', table: 'devices' }

export const devices = supabase
  .channel('devices')
  .on('postgres_changes', { ...base, event: 'INSERT' }, console.log)
  .on('postgres_changes', { ...base, event: 'DELETE', table: 'retired_devices' }, console.log)
  .subscribe()
