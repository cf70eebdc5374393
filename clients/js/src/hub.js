import { HubError } from './errors.js'
import { parseFilter } from './filters.js'
import { EVENTS } from './plan.js'
import { Table } from './table.js'

/**
 * @typedef {import('./types.js').Client} Client
 * @typedef {import('./types.js').ErrorContext} ErrorContext
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Events} Events
 * @typedef {import('./types.js').HubOptions} HubOptions
 * @typedef {import('./types.js').Listener} Listener
 * @typedef {import('./types.js').StatusChange} StatusChange
 * @typedef {import('./types.js').SubscribeOptions} SubscribeOptions
 */

/** @type {Map<string, RealtimeHub>} */
const hubs = new Map()

/**
 * One channel per table on one client, and any number of listeners.
 *
 * It works again after `cleanup()`, and so can live as long as the application, across log-ins.
 */
export class RealtimeHub {
  /** @type {Client} */
  client
  /** @type {string} */
  name
  /** @type {Map<string, Table>} */
  #tables = new Map()
  /** @type {Set<(change: StatusChange) => unknown>} */
  #watchers = new Set()
  /** @type {NonNullable<HubOptions['onError']>} */
  #onError
  /** @type {import('./types.js').Host} */
  #host
  /** @type {() => void} */
  #unfollow
  #lastId = 0

  /**
   * @param {Client} client a SupabaseClient
   * @param {HubOptions} [options]
   */
  constructor(client, options = {}) {
    this.client = client
    this.name = options.name ?? 'main'
    this.#onError = options.onError ?? ((error, where) => console.error('realtime-hub', where, error))
    this.#host = {
      name: this.name,
      client,
      upstream: options.upstream ?? 'narrow',
      grace: options.grace ?? 1_000,
      downAfter: options.downAfter ?? 3_000,
      overlap: options.overlap ?? 1_000,
      topic: (schema, table) => `hub:${this.name}:${schema}.${table}:${++this.#lastId}`,
      report: (error, context) => this.#report(error, { hub: this.name, ...context }),
      changed: (table) => this.#changed(table),
    }
    this.#unfollow = follow(options.auth === undefined ? client : { auth: options.auth }, () =>
      this.cleanup()
    )
  }

  /**
   * Listen to a table; call what is returned to stop, once or more often.
   *
   * The callback gets each change as supabase-js hands it over. It may be asynchronous, and may
   * unsubscribe anybody. What it raises goes to `onError`.
   *
   * @template {import('./types.js').Row} [T=import('./types.js').Row]
   * @overload
   * @param {string} table
   * @param {'INSERT'} events
   * @param {import('./types.js').InsertHandler<T>} callback
   * @param {SubscribeOptions} [options]
   * @returns {import('./types.js').Unsubscribe}
   * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
   */
  /**
   * @template {import('./types.js').Row} [T=import('./types.js').Row]
   * @overload
   * @param {string} table
   * @param {'UPDATE'} events
   * @param {import('./types.js').UpdateHandler<T>} callback
   * @param {SubscribeOptions} [options]
   * @returns {import('./types.js').Unsubscribe}
   * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
   */
  /**
   * @template {import('./types.js').Row} [T=import('./types.js').Row]
   * @overload
   * @param {string} table
   * @param {'DELETE'} events
   * @param {import('./types.js').DeleteHandler<T>} callback
   * @param {SubscribeOptions} [options]
   * @returns {import('./types.js').Unsubscribe}
   * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
   */
  /**
   * @template {import('./types.js').Row} [T=import('./types.js').Row]
   * @overload
   * @param {string} table
   * @param {Events} events
   * @param {import('./types.js').Handler<T>} callback
   * @param {SubscribeOptions} [options]
   * @returns {import('./types.js').Unsubscribe}
   * @throws {HubError} InvalidTable, InvalidEvents, InvalidCallback, InvalidFilter
   */
  /**
   * @param {string} table
   * @param {Events} events
   * @param {(change: any) => unknown} callback
   * @param {SubscribeOptions} [options]
   * @returns {import('./types.js').Unsubscribe}
   */
  subscribe(table, events, callback, options = {}) {
    const schema = options.schema ?? 'public'
    const filter = filterText(options.filter)
    if (typeof table !== 'string' || table === '' || table === '*')
      throw new HubError('InvalidTable', 'name one table; a wildcard costs the server all tables')
    if (typeof callback !== 'function')
      throw new HubError('InvalidCallback', 'the callback is not a function')
    /** @type {Listener} */
    const listener = {
      id: ++this.#lastId,
      events: eventNames(events),
      filter,
      conditions: filter === null ? null : parseFilter(filter),
      callback,
      onGap: options.onGap,
      active: true,
    }
    const of = this.#table(schema, table)
    of.add(listener, options.poll)
    return () => of.remove(listener)
  }

  /**
   * Do changes of this table flow now?
   *
   * @param {string} table
   * @param {{ schema?: string }} [options]
   */
  isConnected(table, { schema = 'public' } = {}) {
    return this.#tables.get(`${schema}.${table}`)?.connected ?? false
  }

  /**
   * A table's status as `onStatus` last told it.
   *
   * @param {string} table
   * @param {{ schema?: string }} [options]
   * @returns {import('./types.js').Status}
   */
  status(table, { schema = 'public' } = {}) {
    return this.#tables.get(`${schema}.${table}`)?.status ?? 'closed'
  }

  /**
   * Hear of each change of a table's status; returns what ends that.
   *
   * @param {(change: StatusChange) => unknown} callback
   * @returns {import('./types.js').Unsubscribe}
   */
  onStatus(callback) {
    const watcher = (/** @type {StatusChange} */ change) => callback(change)
    this.#watchers.add(watcher)
    return () => void this.#watchers.delete(watcher)
  }

  /** @returns {import('./types.js').HubStats} */
  getStats() {
    const tables = [...this.#tables.values()].map((table) => table.stats())
    const sum = (/** @type {'channels' | 'listeners'} */ name) =>
      tables.reduce((total, table) => total + table[name], 0)
    return { name: this.name, channels: sum('channels'), listeners: sum('listeners'), tables }
  }

  /** Drop all listeners, polling and channels; done when the channels have left. */
  async cleanup() {
    const tables = [...this.#tables.values()]
    this.#tables.clear()
    await Promise.all(tables.map((table) => table.close()))
  }

  /** Clean up, stop following the log-in, and free the name. */
  async dispose() {
    this.#unfollow()
    if (hubs.get(this.name) === this) hubs.delete(this.name)
    await this.cleanup()
    this.#watchers.clear()
  }

  /**
   * @param {string} schema
   * @param {string} name
   */
  #table(schema, name) {
    const key = `${schema}.${name}`
    let table = this.#tables.get(key)
    if (!table) this.#tables.set(key, (table = new Table(this.#host, schema, name)))
    return table
  }

  /** @param {{ schema: string, table: string, status: import('./types.js').Status, polling: boolean, error?: string }} of */
  #changed({ schema, table, status, polling, error }) {
    const change = { hub: this.name, schema, table, status, polling, ...(error && { error }) }
    for (const watcher of [...this.#watchers]) {
      try {
        watcher(change)
      } catch (raised) {
        this.#report(raised, { hub: this.name, schema, table, where: 'onStatus' })
      }
    }
  }

  /**
   * @param {unknown} error
   * @param {ErrorContext} context
   */
  #report(error, context) {
    this.#onError(error, context)
  }
}

/**
 * A hub that `getHub` finds by its name. For a client that has one of this name, that one is
 * returned: a module that is loaded again finds its hub.
 *
 * @param {Client} client
 * @param {HubOptions} [options]
 * @throws {HubError} NameTaken
 */
export function createHub(client, options = {}) {
  const known = hubs.get(options.name ?? 'main')
  if (known && known.client !== client)
    throw new HubError('NameTaken', `a hub ${known.name} exists, on another client`)
  const hub = known ?? new RealtimeHub(client, options)
  hubs.set(hub.name, hub)
  return hub
}

/**
 * @param {string} [name]
 * @throws {HubError} NoSuchHub
 */
export function getHub(name = 'main') {
  const hub = hubs.get(name)
  if (!hub) throw new HubError('NoSuchHub', `no hub ${name}: call createHub(client) first`)
  return hub
}

/** The statistics of all hubs that `createHub` made. */
export function allStats() {
  return [...hubs.values()].map((hub) => hub.getStats())
}

/**
 * @param {Events} events
 * @returns {EventName[]}
 */
function eventNames(events) {
  const names = [events].flat()
  const known = /** @type {readonly string[]} */ ([...EVENTS, '*'])
  if (names.length === 0 || names.some((name) => !known.includes(name)))
    throw new HubError('InvalidEvents', `events are INSERT, UPDATE, DELETE or *, not ${names}`)
  return EVENTS.filter((event) => names.includes('*') || names.includes(event))
}

/** @param {SubscribeOptions['filter']} filter */
function filterText(filter) {
  if (filter === undefined || filter === null) return null
  const text = typeof filter === 'string' ? filter : filter.build()
  if (text.trim() === '') return null
  if (!/^[^=]+=[a-z]+\./.test(text))
    throw new HubError('InvalidFilter', `a filter is column=operator.value, not ${text}`)
  return text
}

/**
 * Call back when the user signs out.
 *
 * @param {{ auth?: import('./types.js').AuthClient | null }} of
 * @param {() => unknown} callback
 */
function follow(of, callback) {
  try {
    const answer = of.auth?.onAuthStateChange((event) => {
      if (event === 'SIGNED_OUT') callback()
    })
    return () => answer?.data.subscription.unsubscribe()
  } catch {
    // A client made with `accessToken` has no log-in of its own: `auth` raises when touched.
    return () => {}
  }
}
