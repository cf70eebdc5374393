import {
  REALTIME_LISTEN_TYPES,
  REALTIME_POSTGRES_CHANGES_LISTEN_EVENT,
  type SupabaseClient,
} from '@supabase/supabase-js'

export const listen = (client: SupabaseClient) =>
  client
    .channel('typed')
    .on(
      REALTIME_LISTEN_TYPES.POSTGRES_CHANGES,
      { event: REALTIME_POSTGRES_CHANGES_LISTEN_EVENT.INSERT, schema: 'public', table: 'leads' },
      (change) => console.log(change),
    )
    .subscribe()
