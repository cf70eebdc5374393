// The way it was before the hub: each component has a channel of its own, under a new name each
// time, and looks after itself. It has the hub's interface so that no component differs.

let made = 0

export class DirectChannels {
  #client
  #parts = new Set()
  #watchers = new Set()

  constructor(client) {
    this.#client = client
  }

  subscribe(table, events, callback, { filter, onGap, poll } = {}) {
    const part = { table, status: 'connecting', timer: undefined, bindings: 0 }
    const channel = this.#client.channel(`${table}-${Date.now()}-${++made}`)
    for (const event of [events].flat()) {
      channel.on('postgres_changes', { event, schema: 'public', table, ...(filter && { filter }) }, callback)
      part.bindings++
    }
    channel.subscribe((status) => {
      if (!this.#parts.has(part)) return
      clearInterval(part.timer)
      part.timer = undefined
      const was = part.status
      part.status = status === 'SUBSCRIBED' ? 'connected' : 'disconnected'
      if (part.status === 'connected' && was === 'disconnected') onGap?.()
      if (part.status === 'disconnected' && poll) {
        void poll.fetch()
        part.timer = setInterval(() => void poll.fetch(), poll.every)
      }
      this.#tell(part)
    })
    part.leave = () => {
      clearInterval(part.timer)
      this.#parts.delete(part)
      return this.#client.removeChannel(channel)
    }
    this.#parts.add(part)
    return () => void part.leave()
  }

  onStatus(callback) {
    this.#watchers.add(callback)
    return () => this.#watchers.delete(callback)
  }

  getStats() {
    const tables = new Map()
    for (const part of this.#parts) {
      const of = tables.get(part.table) ?? { table: part.table, channels: 0, bindings: 0, status: part.status, polling: false }
      of.channels++
      of.bindings += part.bindings
      of.polling ||= part.timer !== undefined
      if (part.status !== 'connected') of.status = part.status
      tables.set(part.table, of)
    }
    return { name: 'direct', channels: this.#parts.size, tables: [...tables.values()] }
  }

  async cleanup() {
    await Promise.all([...this.#parts].map((part) => part.leave()))
  }

  #tell({ table, status }) {
    for (const watcher of this.#watchers) watcher({ table, status })
  }
}
