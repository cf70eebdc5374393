import { supabase } from './db'

supabase
  .channel('cast')
  .on('postgres_changes' as any, { event: 'DELETE', schema: 'public', table: 'tokens' } as any, (payload: any) => {
    console.log(payload.old.id)
  })
  .subscribe()
