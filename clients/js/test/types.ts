// Not run: `npm run check` holds what users may rely on.
import {
  createClient,
  type RealtimePostgresDeletePayload,
  type RealtimePostgresInsertPayload,
} from '@supabase/supabase-js'
import { createHub, getHub, type Change, type HubStats, type StatusChange } from '../types/index.js'
import { useRealtime } from '../types/react.js'

interface Call {
  call_id: number
  estado: 'activa' | 'finalizada'
}

const hub = createHub(createClient('http://127.0.0.1', 'key'), { name: 'main', upstream: '*' })

const unsubscribe: () => void = hub.subscribe<Call>(
  'llamadas_ventas',
  ['INSERT', 'UPDATE'],
  (change: Change<Call>) => {
    if (change.eventType === 'UPDATE') change.new.estado satisfies 'activa' | 'finalizada'
    // @ts-expect-error there is no such column
    if (change.eventType === 'INSERT') change.new.nombre
  },
  { schema: 'public', filter: 'call_id=eq.42', poll: { fetch: async () => {}, every: 30_000 } }
)
unsubscribe()

hub.subscribe('llamadas_ventas', 'INSERT', (change) => change.new.call_id)
hub.subscribe<Call>('llamadas_ventas', 'UPDATE', ({ new: { estado } }) => estado satisfies string)
hub.subscribe('llamadas_ventas', 'DELETE', (change: RealtimePostgresDeletePayload<Call>) => {
  change.old.call_id satisfies number | undefined
})
// @ts-expect-error a handler of INSERTs can't take whatever comes
hub.subscribe('llamadas_ventas', '*', (change: RealtimePostgresInsertPayload<Call>) => change.new)

// @ts-expect-error there is no such event
hub.subscribe('llamadas_ventas', 'TRUNCATE', () => {})
// @ts-expect-error polling needs something to call
hub.subscribe('llamadas_ventas', '*', () => {}, { poll: {} })

const stats: HubStats = getHub('main').getStats()
stats.tables[0].status satisfies string
hub.onStatus(({ table, status, polling }: StatusChange) => [table, status, polling])
hub.isConnected('llamadas_ventas') satisfies boolean
hub.cleanup() satisfies Promise<void>

export function Widget() {
  const status = useRealtime<Call>('llamadas_ventas', '*', (change) => change.eventType)
  return status === 'connected' ? 'live' : 'waiting'
}
