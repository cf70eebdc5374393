import { supabase } from './db'

export const read = () => supabase.from('orders').select('id').eq('state', 'open')
export const write = (row: object) => supabase.from('orders').insert(row)
