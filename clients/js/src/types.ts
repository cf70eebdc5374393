// Types alone: nothing of this file exists at run time.
import type {
  RealtimeChannel,
  RealtimePostgresChangesPayload,
  RealtimePostgresDeletePayload,
  RealtimePostgresInsertPayload,
  RealtimePostgresUpdatePayload,
  SupabaseClient,
} from '@supabase/supabase-js'

/** What a client needs to have: a SupabaseClient, or anything with its channels. */
export type Client = Pick<SupabaseClient, 'channel' | 'removeChannel' | 'realtime'> & {
  auth?: AuthClient
}

/** What the hub asks of `client.auth`, so that it can clean up on SIGNED_OUT. */
export interface AuthClient {
  onAuthStateChange(callback: (event: string, ...rest: any[]) => void): {
    data: { subscription: { unsubscribe(): void } }
  }
}

export type Channel = RealtimeChannel

export type Row = { [column: string]: any }

/** A change as supabase-js hands it over; the hub passes on the very object. */
export type Change<T extends Row = Row> = RealtimePostgresChangesPayload<T>

export type EventName = 'INSERT' | 'UPDATE' | 'DELETE'

/** One event, several, or `*` for all. */
export type Events = EventName | '*' | readonly (EventName | '*')[]

export type Handler<T extends Row = Row> = (change: Change<T>) => unknown

/** Of a single event, as supabase-js types it: `new` of a DELETE is empty, say. */
export type InsertHandler<T extends Row = Row> = (
  change: RealtimePostgresInsertPayload<T>,
) => unknown
export type UpdateHandler<T extends Row = Row> = (
  change: RealtimePostgresUpdatePayload<T>,
) => unknown
export type DeleteHandler<T extends Row = Row> = (
  change: RealtimePostgresDeletePayload<T>,
) => unknown

export type Unsubscribe = () => void

/** What was, or may have been, missed; time to read the state again. */
export interface Gap {
  /** `reconnected`: the channel was away and the server can't resume. Else the server's word. */
  reason: string
  message: string
  schema: string
  table: string
  /** Cursors between which it lies, where the server knows them. */
  from?: string | null
  to?: string | null
}

/** Asks for the state by itself while changes don't come. */
export interface Polling {
  /** Called with no overlap; a rejection goes to `onError`, and the next call comes all the same. */
  fetch: (signal: AbortSignal) => unknown
  /** Milliseconds from the end of one call to the next; 30,000 if not given. */
  every?: number
  /** `down` (default): while the channel is away, and once after it is back. `always`: always. */
  when?: 'down' | 'always'
}

export interface SubscribeOptions {
  /** `public` if not given. */
  schema?: string
  /** As in supabase-js: `call_id=eq.42`, a comma means AND. */
  filter?: string | { build(): string }
  onGap?: (gap: Gap) => unknown
  poll?: Polling
}

/**
 * - `connecting`: the first join is on its way
 * - `connected`: changes flow
 * - `disconnected`: they do not; the hub is trying
 * - `refused`: the server won't serve this table (not published, say); `error` tells why
 * - `closed`: nobody listens
 */
export type Status = 'connecting' | 'connected' | 'disconnected' | 'refused' | 'closed'

export interface StatusChange {
  hub: string
  schema: string
  table: string
  status: Status
  /** A polling fallback stands in. */
  polling: boolean
  error?: string
}

export interface ErrorContext {
  hub: string
  schema: string
  table: string
  /** What raised: a listener's callback, a polling fallback, or the server's refusal. */
  where: 'callback' | 'poll' | 'onGap' | 'onStatus' | 'server'
  change?: Change
}

export interface HubOptions {
  /** Names the hub in statistics and for `getHub`; `main` if not given. */
  name?: string
  /** `narrow` (default): ask the server for what listeners need. `*`: for all, and sort out here. */
  upstream?: 'narrow' | '*'
  /** Milliseconds that a table without listeners keeps its channel; 1,000 if not given. */
  grace?: number
  /** Milliseconds that a channel may be away before it is reported; 3,000 if not given. */
  downAfter?: number
  /** Milliseconds that an old channel goes on beside its successor; 1,000 if not given. */
  overlap?: number
  /** Whose SIGNED_OUT cleans up; `client.auth` if not given, null for nobody's. */
  auth?: AuthClient | null
  /** `console.error` if not given. */
  onError?: (error: unknown, context: ErrorContext) => void
}

export interface TableStats {
  schema: string
  table: string
  status: Status
  polling: boolean
  listeners: number
  /** 1, or 2 for the moment in which one channel replaces another. */
  channels: number
  /** What the server is asked for, as `EVENT` or `EVENT filter`. */
  bindings: string[]
  joins: number
  /** Messages from the server. */
  received: number
  /** Calls of listeners. */
  delivered: number
  gaps: number
  polls: number
  errors: number
}

export interface HubStats {
  name: string
  channels: number
  listeners: number
  tables: TableStats[]
}

/** @internal */
export interface Binding {
  key: string
  event: EventName | '*'
  filter: string | null
}

/** @internal `column=[not.]op.value`, one of several that must all hold. */
export interface Condition {
  column: string
  op: 'eq' | 'neq' | 'lt' | 'lte' | 'gt' | 'gte' | 'in' | 'is'
  negated: boolean
  values: string[]
}

/** @internal */
export interface Listener {
  id: number
  events: readonly EventName[]
  filter: string | null
  /** null: there is no filter, or only the server can judge it. */
  conditions: Condition[] | null
  callback: Handler<any>
  onGap?: (gap: Gap) => unknown
  active: boolean
}

/** @internal What tables need of their hub. */
export interface Host {
  name: string
  client: Client
  upstream: 'narrow' | '*'
  grace: number
  downAfter: number
  overlap: number
  topic(schema: string, table: string): string
  report(error: unknown, context: Omit<ErrorContext, 'hub'>): void
  changed(table: { schema: string; table: string; status: Status; polling: boolean; error?: string }): void
}
