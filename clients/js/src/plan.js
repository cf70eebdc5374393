// Which bindings a table's channel needs so that each listener gets what it asked for.
import { split } from './filters.js'

/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Listener} Listener
 */

/** @type {readonly EventName[]} */
export const EVENTS = ['INSERT', 'UPDATE', 'DELETE']

/** How many members the server takes in one `in`. */
const MEMBERS = 100
/** Values that need no quoting in `in.(...)`. */
const SIMPLE = /^[\w:.+-]+$/

/**
 * The cheapest bindings that serve all listeners, in a stable order: a listener without a filter
 * covers those whose filter can be judged here; equality filters on one column become one `in`.
 *
 * @param {Iterable<Listener>} listeners
 * @param {'narrow' | '*'} upstream
 * @returns {Binding[]}
 */
export function plan(listeners, upstream) {
  const all = [...listeners]
  /** @type {Map<string | null, Set<EventName>>} */
  const asked = new Map()
  const judgedHere = (/** @type {Listener} */ each) => each.filter === null || each.conditions
  const everything = upstream === '*' && all.some(judgedHere)
  if (everything) asked.set(null, new Set(EVENTS))
  for (const event of EVENTS) {
    const wanting = all.filter((each) => each.events.includes(event))
    const open = everything || wanting.some((each) => each.filter === null)
    const rest = wanting.filter((each) => !(open && judgedHere(each)))
    const filters = joined(rest)
    for (const filter of open ? [null, ...filters] : filters) {
      asked.set(filter, (asked.get(filter) ?? new Set()).add(event))
    }
  }
  return [...asked]
    .flatMap(([filter, events]) =>
      events.size === EVENTS.length
        ? [binding('*', filter)]
        : [...events].map((event) => binding(event, filter))
    )
    .sort((a, b) => (a.key < b.key ? -1 : 1))
}

/**
 * The binding through which a listener gets an event; null where none brings it.
 *
 * @param {readonly Binding[]} bindings
 * @param {Listener} listener
 * @param {EventName} event
 */
export function route(bindings, listener, event) {
  const fit = bindings.filter((each) => each.event === event || each.event === '*')
  const find = (/** @type {(filter: string | null) => boolean} */ test) =>
    fit.find((each) => test(each.filter)) ?? null
  const exact = find((filter) => filter === listener.filter)
  if (exact || !listener.conditions) return exact
  const mergeable = equality(listener)
  return (
    find((filter) => filter === null) ??
    (mergeable && find((filter) => filter !== null && isMember(filter, mergeable)))
  )
}

/**
 * Do these bindings bring all that the ideal ones would?
 *
 * @param {readonly Binding[]} bindings
 * @param {readonly Binding[]} ideal
 * @param {Iterable<Listener>} listeners
 */
export function covers(bindings, ideal, listeners) {
  for (const listener of listeners)
    for (const event of listener.events)
      if (route(ideal, listener, event) && !route(bindings, listener, event)) return false
  return true
}

/**
 * @param {readonly Binding[]} a
 * @param {readonly Binding[]} b
 */
export function same(a, b) {
  return a.length === b.length && a.every((each, i) => each.key === b[i].key)
}

/**
 * @param {Binding['event']} event
 * @param {string | null} filter
 * @returns {Binding}
 */
function binding(event, filter) {
  return { key: filter === null ? event : `${event} ${filter}`, event, filter }
}

/**
 * The filters that are left to the server, equality ones on a column put together.
 *
 * @param {Listener[]} listeners
 */
function joined(listeners) {
  /** @type {Set<string>} */
  const filters = new Set()
  /** @type {Map<string, Set<string>>} */
  const columns = new Map()
  for (const listener of listeners) {
    if (listener.filter === null) continue
    const mergeable = equality(listener)
    if (!mergeable) filters.add(listener.filter)
    else columns.set(mergeable.column, (columns.get(mergeable.column) ?? new Set()).add(mergeable.value))
  }
  for (const [column, values] of columns) {
    const sorted = [...values].sort()
    if (sorted.length === 1) filters.add(`${column}=eq.${sorted[0]}`)
    else
      for (let i = 0; i < sorted.length; i += MEMBERS)
        filters.add(`${column}=in.(${sorted.slice(i, i + MEMBERS).join(',')})`)
  }
  return filters
}

/**
 * @param {Listener} listener
 * @returns {{ column: string, value: string } | null}
 */
function equality({ conditions }) {
  if (conditions?.length !== 1) return null
  const [{ column, op, negated, values }] = conditions
  return op === 'eq' && !negated && SIMPLE.test(values[0]) ? { column, value: values[0] } : null
}

/**
 * @param {string} filter
 * @param {{ column: string, value: string }} wanted
 */
function isMember(filter, { column, value }) {
  const start = `${column}=in.(`
  if (filter === `${column}=eq.${value}`) return true
  return filter.startsWith(start) && split(filter.slice(start.length, -1)).includes(value)
}
