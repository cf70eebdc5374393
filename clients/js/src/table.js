// One table of a hub: its listeners, the channel that serves them, and the polling fallback.
import { Dispatch } from './dispatch.js'
import { HubError } from './errors.js'
import { Link } from './link.js'
import { Overlap } from './overlap.js'
import { covers, plan, route, same } from './plan.js'
import { Poller } from './polling.js'

/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').EventName} EventName
 * @typedef {import('./types.js').Listener} Listener
 * @typedef {import('./types.js').Host} Host
 * @typedef {import('./types.js').Status} Status
 * @typedef {ReturnType<typeof setTimeout> | undefined} Timer
 */

/** Pauses before a channel that the server ended is opened again, in milliseconds. */
const PAUSES = [1_000, 2_000, 5_000, 10_000]

export class Table {
  /** @type {Status} */
  status = 'closed'
  /** @type {string | undefined} */
  error
  #host
  /** @type {Map<Listener, Poller | null>} */
  #listeners = new Map()
  /** @type {Link | null} */
  #current = null
  /** @type {Link | null} Takes over when it is ready. */
  #next = null
  #overlap = new Overlap()
  /** @type {Map<string, string>} Bindings that the server won't have, with its reason. */
  #refused = new Map()
  /** @type {Map<string, Link>} Bindings that it has had, with their first channel. */
  #accepted = new Map()
  #scheduled = false
  /** Changes may have come while nobody was there to bring them. */
  #lapsed = false
  #closures = 0
  /** @type {string | undefined} Where the channel was that the server closed. */
  #cursor
  /** @type {Timer} */
  #settling
  /** @type {Timer} */
  #switching
  /** @type {Timer} */
  #reopening
  /** @type {Timer} */
  #missing
  #dispatch
  #figures = { joins: 0, received: 0, gaps: 0, polls: 0 }

  /**
   * @param {Host} host
   * @param {string} schema
   * @param {string} table
   */
  constructor(host, schema, table) {
    this.#host = host
    this.schema = schema
    this.table = table
    this.#dispatch = new Dispatch(this.#listeners, (error, where, change) =>
      host.report(error, { schema, table, where, change })
    )
  }

  get polling() {
    return [...this.#listeners.values()].some((poller) => poller?.active)
  }

  get connected() {
    return this.#current?.state === 'ready'
  }

  /**
   * @param {Listener} listener
   * @param {import('./types.js').Polling} [polling]
   */
  add(listener, polling) {
    const poller = polling ? new Poller(polling, (error) => this.#dispatch.fail(error, 'poll')) : null
    this.#listeners.set(listener, poller)
    if (this.status === 'disconnected' || this.status === 'refused') poller?.down()
    this.#schedule()
  }

  /** @param {Listener} listener */
  remove(listener) {
    listener.active = false
    const poller = this.#listeners.get(listener)
    if (poller) this.#figures.polls += poller.calls
    poller?.stop()
    if (this.#listeners.delete(listener)) this.#schedule()
  }

  /** Leave the server and forget all listeners; returns when the channels have left. */
  async close() {
    for (const listener of [...this.#listeners.keys()]) this.remove(listener)
    await this.#drop()
  }

  /** @returns {import('./types.js').TableStats} */
  stats() {
    const links = [this.#current, this.#next].filter((link) => link !== null)
    const sum = (/** @type {'joins' | 'received'} */ name) =>
      links.reduce((total, link) => total + link[name], this.#figures[name])
    const pollers = [...this.#listeners.values()]
    return {
      schema: this.schema,
      table: this.table,
      status: this.status,
      polling: this.polling,
      listeners: this.#listeners.size,
      channels: links.length,
      bindings: (this.#current?.bindings ?? []).map((each) => each.key),
      ...this.#figures,
      delivered: this.#dispatch.delivered,
      errors: this.#dispatch.errors,
      joins: sum('joins'),
      received: sum('received'),
      polls: pollers.reduce((total, each) => total + (each?.calls ?? 0), this.#figures.polls),
    }
  }

  // The channel that is needed

  /** Many subscriptions of one tick make one channel. */
  #schedule() {
    this.#dispatch.changed()
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#reconcile()
    })
  }

  #reconcile() {
    clearTimeout(this.#settling)
    if (this.#listeners.size === 0) {
      if (this.#current) this.#settling = setTimeout(() => this.#drop(), this.#host.grace)
      return
    }
    if (this.#next) return // looked at again when it has taken over
    const listeners = this.#listeners.keys()
    const ideal = plan(listeners, this.#host.upstream).filter((each) => !this.#refused.has(each.key))
    if (!this.#current) {
      if (ideal.length > 0 && this.#reopening === undefined) this.#open(ideal)
    } else if (ideal.length === 0 || same(this.#current.bindings, ideal)) return
    else if (
      this.#current.state !== 'refused' &&
      covers(this.#current.bindings, ideal, this.#listeners.keys())
    )
      // More than is needed harms nobody for a moment, and listeners often come back.
      this.#settling = setTimeout(() => this.#replace(ideal), this.#host.grace)
    else this.#replace(ideal)
  }

  /**
   * @param {Binding[]} bindings
   * @param {string} [since]
   */
  #link(bindings, since) {
    const topic = this.#host.topic(this.schema, this.table)
    const events = {
      change: this.#change.bind(this),
      ready: this.#ready.bind(this),
      down: this.#down.bind(this),
      closed: this.#closed.bind(this),
      refused: this.#refuse.bind(this),
      gap: this.#told.bind(this),
    }
    const { schema, table } = this
    return new Link(this.#host.client, topic, schema, table, bindings, events, since)
  }

  /** @param {Binding[]} bindings */
  #open(bindings) {
    this.#current = this.#link(bindings, this.#cursor)
    this.#cursor = undefined
    if (this.status === 'closed') this.#say('connecting')
    this.#miss()
  }

  /** @param {Binding[]} bindings */
  #replace(bindings) {
    if (this.#next || !this.#current) return this.#schedule()
    this.#overlap.reset()
    this.#next = this.#link(bindings)
  }

  #switch() {
    const [old, link] = [this.#current, this.#next]
    if (!link) return
    clearTimeout(this.#switching)
    void this.#retire(old)
    this.#current = link
    this.#next = null
    for (const [listener, change] of this.#overlap.take()) this.#dispatch.call(listener, change)
    this.#up(false)
    this.#schedule()
  }

  /** @param {Link | null} link */
  #retire(link) {
    if (!link) return
    this.#figures.joins += link.joins
    this.#figures.received += link.received
    return link.leave()
  }

  async #drop() {
    for (const timer of [this.#settling, this.#switching, this.#reopening, this.#missing])
      clearTimeout(timer)
    this.#reopening = this.#missing = this.#cursor = undefined
    this.#lapsed = false
    const links = [this.#current, this.#next]
    this.#current = this.#next = null
    this.#overlap.reset()
    this.#refused.clear()
    this.#accepted.clear()
    this.#say('closed')
    await Promise.all(links.map((link) => this.#retire(link)))
  }

  // What the channel says

  /** @param {Link} link */
  #ready(link) {
    this.#closures = 0
    for (const { key } of link.bindings) {
      if (!this.#accepted.has(key)) this.#accepted.set(key, link)
      this.#refused.delete(key)
    }
    // With a cursor the server has brought what was missed, or has said that it can't.
    if (link === this.#current) this.#up(link.cursor !== undefined)
    else if (!this.connected) this.#switch()
    else this.#switching = setTimeout(() => this.#switch(), this.#host.overlap)
  }

  /** @param {boolean} resumed */
  #up(resumed) {
    clearTimeout(this.#missing)
    this.#missing = undefined
    for (const poller of this.#listeners.values()) poller?.up()
    this.#say('connected')
    const lapsed = this.#lapsed
    this.#lapsed = false
    if (lapsed && !resumed)
      this.#gap({
        reason: 'reconnected',
        message: 'the channel was away, and the server does not resume',
      })
  }

  /**
   * @param {Link} link
   * @param {string | undefined} error
   */
  #down(link, error) {
    if (link === this.#next) {
      clearTimeout(this.#switching)
      this.#overlap.reset()
    } else if (this.#next?.state === 'ready') this.#switch()
    else {
      this.#lapsed ||= this.status === 'connected'
      this.#miss(error)
    }
  }

  /**
   * Report it only if it lasts.
   *
   * @param {string} [error]
   */
  #miss(error) {
    this.#missing ??= setTimeout(() => {
      for (const poller of this.#listeners.values()) poller?.down()
      this.#say('disconnected', error)
    }, this.#host.downAfter)
  }

  /** @param {Link} link */
  #closed(link) {
    const wasCurrent = link === this.#current
    void this.#retire(link)
    if (!wasCurrent) {
      this.#next = null
      clearTimeout(this.#switching)
      this.#settling = setTimeout(() => this.#reconcile(), this.#host.grace)
      return
    }
    this.#lapsed ||= this.status === 'connected'
    this.#cursor = link.cursor
    this.#current = null
    if (this.#next?.state === 'ready') return this.#switch()
    if (this.#next) {
      this.#current = this.#next
      this.#next = null
      this.#overlap.reset()
      return this.#miss()
    }
    this.#miss('the server closed the channel')
    const pause = PAUSES[Math.min(this.#closures++, PAUSES.length - 1)]
    this.#reopening = setTimeout(() => {
      this.#reopening = undefined
      this.#reconcile()
    }, pause * (0.5 + Math.random() / 2))
  }

  /**
   * One bad binding fails all of its channel. Those that an earlier channel had are not at fault,
   * and a filter is more likely to be than the table.
   *
   * @param {Link} link
   * @param {string} error
   */
  #refuse(link, error) {
    const fresh = link.bindings.filter(({ key }) => (this.#accepted.get(key) ?? link) === link)
    const filtered = fresh.filter((each) => each.filter !== null)
    const blamed = filtered.length > 0 ? filtered : fresh
    for (const { key } of blamed) this.#refused.set(key, error)
    this.#dispatch.fail(new HubError('Refused', `${this.schema}.${this.table}: ${error}`), 'server')
    if (link === this.#next) {
      this.#next = null
      void this.#retire(link)
      return this.#schedule()
    }
    this.#lapsed ||= this.status === 'connected'
    clearTimeout(this.#missing)
    this.#missing = undefined
    for (const poller of this.#listeners.values()) poller?.down()
    this.#say('refused', error)
    this.#schedule()
  }

  /**
   * @param {Link} link
   * @param {import('./link.js').Missed} missed
   */
  #told(link, missed) {
    if (link === this.#current) this.#gap(missed)
  }

  /** @param {import('./link.js').Missed} missed */
  #gap(missed) {
    this.#figures.gaps++
    const gap = { ...missed, schema: this.schema, table: this.table }
    for (const [listener, poller] of [...this.#listeners]) {
      poller?.once()
      this.#dispatch.run(() => listener.onGap?.(gap), 'onGap')
    }
  }

  // Changes

  /**
   * @param {Link} link
   * @param {Binding} binding
   * @param {any} change
   */
  #change(link, binding, change) {
    const event = /** @type {EventName} */ (change.eventType)
    for (const listener of this.#dispatch.wanting(link, binding, change)) {
      if (link === this.#current) {
        if (this.#next) this.#overlap.served(listener, change)
        this.#dispatch.call(listener, change)
      } else if (this.#current && route(this.#current.bindings, listener, event))
        this.#overlap.wait(listener, change)
      else this.#dispatch.call(listener, change)
    }
  }

  /**
   * @param {Status} status
   * @param {string} [error]
   */
  #say(status, error) {
    if (status === this.status && error === this.error) return
    this.status = status
    this.error = error
    this.#host.changed(this)
  }
}
