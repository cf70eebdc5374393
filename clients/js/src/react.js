import { createContext, createElement, useContext, useEffect, useRef, useSyncExternalStore } from 'react'
import { getHub } from './hub.js'

/**
 * @typedef {import('./hub.js').RealtimeHub} RealtimeHub
 * @typedef {import('./types.js').SubscribeOptions & { hub?: RealtimeHub, enabled?: boolean }} UseRealtimeOptions
 */

const Context = createContext(/** @type {RealtimeHub | null} */ (null))

/**
 * Gives the components below it a hub; without it they use `getHub()`.
 *
 * @param {{ hub: RealtimeHub, children?: import('react').ReactNode }} props
 */
export function RealtimeHubProvider({ hub, children }) {
  return createElement(Context.Provider, { value: hub }, children)
}

/**
 * Listen to a table while the component is mounted; returns the table's status.
 *
 * The newest handler is called, and a new one on each render costs nothing: only another table,
 * event or filter subscribes anew.
 *
 * @template {import('./types.js').Row} [T=import('./types.js').Row]
 * @param {string} table
 * @param {import('./types.js').Events} events
 * @param {import('./types.js').Handler<T>} handler
 * @param {UseRealtimeOptions} [options]
 * @returns {import('./types.js').Status}
 */
export function useRealtime(table, events, handler, options = {}) {
  const provided = useContext(Context)
  const hub = options.hub ?? provided ?? getHub()
  const { schema = 'public', enabled = true, filter } = options
  const filterText = typeof filter === 'object' ? filter.build() : filter
  const eventList = [events].flat().join()
  const every = options.poll?.every
  const when = options.poll?.when
  const polls = options.poll !== undefined
  const latest = useRef({ handler, options })
  useEffect(() => {
    latest.current = { handler, options }
  })
  useEffect(() => {
    if (!enabled) return
    const now = () => latest.current
    const fetch = (/** @type {AbortSignal} */ signal) => now().options.poll?.fetch(signal)
    return hub.subscribe(
      table,
      /** @type {import('./types.js').Events} */ (eventList.split(',')),
      (change) => now().handler(/** @type {any} */ (change)),
      {
        schema,
        filter: filterText,
        onGap: (gap) => now().options.onGap?.(gap),
        ...(polls && { poll: { fetch, every, when } }),
      }
    )
  }, [hub, schema, table, eventList, filterText, enabled, polls, every, when])
  const read = () => hub.status(table, { schema })
  return useSyncExternalStore((changed) => hub.onStatus(changed), read, read)
}
