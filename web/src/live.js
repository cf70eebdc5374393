// The page's way of listening, which can be changed while it runs.
import { createHub } from '../../clients/js/src/index.js'
import { DirectChannels } from './direct.js'

/** A hub's bindings are named, a direct channel's counted. */
const count = (bindings) => (Array.isArray(bindings) ? bindings.length : bindings)

export class Live {
  mode = 'hub'
  /** Changes that this page was told of, each once, by table. */
  changes = {}
  #ways
  #wanted = new Map()
  #watchers = []
  #last = new Map()

  constructor(client) {
    this.#ways = {
      hub: createHub(client, { downAfter: 800, onError: (error) => console.warn(error) }),
      direct: new DirectChannels(client),
    }
    for (const way of Object.values(this.#ways))
      way.onStatus(() => this.#watchers.forEach((watcher) => watcher()))
  }

  get #way() {
    return this.#ways[this.mode]
  }

  /** As `hub.subscribe`; it stays when the way of listening changes. */
  subscribe(table, events, callback, options) {
    const wanted = [table, events, (change) => callback(this.#seen(change)), options]
    const key = Symbol(table)
    this.#wanted.set(key, { wanted, leave: this.#way.subscribe(...wanted) })
    return () => {
      this.#wanted.get(key)?.leave()
      this.#wanted.delete(key)
    }
  }

  /** Listen the other way from now on. */
  async use(mode) {
    if (mode === this.mode) return
    const before = this.#way
    this.mode = mode
    for (const entry of this.#wanted.values()) entry.leave = this.#way.subscribe(...entry.wanted)
    await before.cleanup()
  }

  /** At log-out: nothing is left. */
  async cleanup() {
    this.#wanted.clear()
    this.#last.clear()
    await Promise.all(Object.values(this.#ways).map((way) => way.cleanup()))
  }

  onStatus(callback) {
    this.#watchers.push(callback)
  }

  get figures() {
    const { channels, tables } = this.#way.getStats()
    const used = tables.filter((each) => each.status !== 'closed')
    return {
      channels,
      bindings: Object.fromEntries(used.map((each) => [each.table, count(each.bindings)])),
      polling: used.some((each) => each.polling),
      statuses: used.map((each) => each.status),
      refused: used.filter((each) => each.status === 'refused').map((each) => each.table),
    }
  }

  /** Many listeners get one change, in direct mode as objects of their own. */
  #seen(change) {
    const row = change.eventType === 'DELETE' ? change.old : change.new
    const id = `${change.commit_timestamp} ${row.id ?? row.call_id ?? row.uchat_id} ${row.updated_at}`
    const recent = this.#last.get(change.table) ?? new Set()
    if (!recent.has(id)) {
      this.changes[change.table] = (this.changes[change.table] ?? 0) + 1
      recent.add(id)
      if (recent.size > 200) recent.delete(recent.values().next().value)
      this.#last.set(change.table, recent)
    }
    return change
  }
}
