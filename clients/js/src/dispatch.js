// Which listeners a change is for, and the calling of them.
import { matches } from './filters.js'
import { route } from './plan.js'

/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Listener} Listener
 * @typedef {import('./link.js').Link} Link
 * @typedef {import('./types.js').ErrorContext['where']} Where
 */

export class Dispatch {
  delivered = 0
  errors = 0
  #listeners
  #report
  /** @type {WeakMap<Link, Map<string, Listener[]>>} */
  #routes = new WeakMap()

  /**
   * @param {ReadonlyMap<Listener, unknown>} listeners as they are now, and will be
   * @param {(error: unknown, where: Where, change?: any) => void} report
   */
  constructor(listeners, report) {
    this.#listeners = listeners
    this.#report = report
  }

  /** Listeners have come or gone. */
  changed() {
    this.#routes = new WeakMap()
  }

  /**
   * The listeners that a change is for, as far as it came through this binding.
   *
   * @param {Link} link
   * @param {Binding} binding
   * @param {any} change
   */
  wanting(link, binding, change) {
    const event = /** @type {EventName} */ (change.eventType)
    const row = event === 'DELETE' ? change.old : change.new
    return this.#routed(link, binding, event).filter(
      ({ conditions }) => !conditions || matches(conditions, row)
    )
  }

  /**
   * @param {Listener} listener
   * @param {any} change
   */
  call(listener, change) {
    // It may have left a moment ago, called for this very change.
    if (!listener.active) return
    this.delivered++
    this.run(() => listener.callback(change), 'callback', change)
  }

  /**
   * A listener that raises harms nobody else.
   *
   * @param {() => unknown} call
   * @param {Where} where
   * @param {any} [change]
   */
  run(call, where, change) {
    try {
      const result = call()
      if (result instanceof Promise) result.catch((error) => this.fail(error, where, change))
    } catch (error) {
      this.fail(error, where, change)
    }
  }

  /**
   * @param {unknown} error
   * @param {Where} where
   * @param {any} [change]
   */
  fail(error, where, change) {
    this.errors++
    this.#report(error, where, change)
  }

  /**
   * @param {Link} link
   * @param {Binding} binding
   * @param {EventName} event
   */
  #routed(link, binding, event) {
    let routes = this.#routes.get(link)
    if (!routes) this.#routes.set(link, (routes = new Map()))
    const key = `${event} ${binding.key}`
    let listeners = routes.get(key)
    if (!listeners) {
      const through = (/** @type {Listener} */ each) =>
        each.events.includes(event) && route(link.bindings, each, event) === binding
      routes.set(key, (listeners = [...this.#listeners.keys()].filter(through)))
    }
    return listeners
  }
}
