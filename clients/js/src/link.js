// One channel of supabase-js with its bindings, and what is known of its state.

/**
 * @typedef {import('./types.js').Binding} Binding
 * @typedef {import('./types.js').Client} Client
 * @typedef {{ reason: string, message: string, from?: string | null, to?: string | null }} Missed
 * @typedef {{ event: string, schema: string, table: string, filter?: string, since?: string }} Asked
 * @typedef {object} LinkEvents
 * @property {(link: Link, binding: Binding, change: any) => void} change
 * @property {(link: Link) => void} ready changes flow
 * @property {(link: Link, error: string | undefined) => void} down supabase-js is trying again
 * @property {(link: Link) => void} closed the server ended the channel for good
 * @property {(link: Link, error: string) => void} refused
 * @property {(link: Link, missed: Missed) => void} gap
 */

/** Any server's word for "the bindings are in place", after which nothing is missed. */
const EXTENSION = 'postgres_changes'

export class Link {
  /** @type {'joining' | 'ready' | 'down' | 'refused' | 'left'} */
  state = 'joining'
  joins = 0
  received = 0
  #client
  #events
  #channel
  #untap
  /** @type {Asked[]} */
  #asked
  #subscribed = false
  /** @type {unknown} */
  #last = null

  /**
   * @param {Client} client
   * @param {string} topic
   * @param {string} schema
   * @param {string} table
   * @param {Binding[]} bindings
   * @param {LinkEvents} events
   * @param {string} [since] where an earlier channel with a cursor ended
   */
  constructor(client, topic, schema, table, bindings, events, since) {
    this.#client = client
    this.bindings = bindings
    this.#events = events
    this.#channel = client.channel(topic)
    this.#asked = bindings.map(({ event, filter }) => ({
      ...{ event, schema, table },
      ...(filter !== null && { filter }),
      ...(since !== undefined && { since }),
    }))
    this.#asked.forEach((asked, i) =>
      this.#channel.on(EXTENSION, /** @type {any} */ (asked), (/** @type {any} */ change) => {
        if (this.state === 'left') return
        // Each binding that fits is called with the same object: it came once.
        if (change !== this.#last) this.received++
        this.#last = change
        this.#events.change(this, bindings[i], change)
      })
    )
    this.#channel.on('system', {}, (said) => this.#system(said))
    this.#untap = tap(client, this.#channel.topic, (payload) => this.#note(payload))
    this.#channel.subscribe((status, error) => this.#status(status, error))
  }

  /** Where this channel is, if the server tells: a join from there on misses nothing. */
  get cursor() {
    return this.#asked[0]?.since
  }

  /** Leave for good; nothing is reported any more. */
  async leave() {
    if (this.state === 'left') return
    this.state = 'left'
    this.#untap()
    await this.#client.removeChannel(this.#channel)
  }

  /**
   * @param {string} status
   * @param {Error | undefined} error
   */
  #status(status, error) {
    if (this.state === 'left') return
    if (status === 'SUBSCRIBED') {
      this.joins++
      this.#subscribed = true
      return
    }
    this.#subscribed = false
    if (status === 'CLOSED') return this.#events.closed(this)
    this.state = 'down'
    this.#events.down(this, error?.message)
  }

  /** @param {any} said */
  #system(said) {
    if (this.state === 'left' || said?.extension !== EXTENSION) return
    const message = String(said.message ?? '')
    if (said.status === 'error') {
      this.state = 'refused'
      this.#events.refused(this, message)
    } else if (said.gap || message.startsWith('Gap: ')) {
      this.#events.gap(this, { reason: message.slice(5), ...said.gap, message })
    } else if (this.#subscribed && this.state !== 'ready') {
      this.state = 'ready'
      this.#events.ready(this)
    }
  }

  /**
   * Our gateway gives each change a cursor. supabase-js sends these very objects again when it
   * joins again, so that the channel goes on where it was.
   *
   * @param {any} payload
   */
  #note(payload) {
    const cursor = payload?.cursor
    if (typeof cursor === 'string') for (const asked of this.#asked) asked.since = cursor
  }
}

/** @typedef {Map<string, (payload: any) => void>} Topics */
/** @type {WeakMap<object, Topics>} */
const taps = new WeakMap()

/**
 * Hear the payloads of a topic's changes as they come, cursor included, which supabase-js does
 * not hand on. A version that does not offer this does not resume.
 *
 * @param {Client} client
 * @param {string} topic
 * @param {(payload: any) => void} callback
 */
function tap(client, topic, callback) {
  const realtime = /** @type {any} */ (client.realtime)
  let topics = taps.get(realtime)
  if (!topics) {
    const made = (topics = /** @type {Topics} */ (new Map()))
    taps.set(realtime, made)
    realtime.socketAdapter?.onMessage?.((/** @type {any} */ message) => {
      if (message?.event === EXTENSION) made.get(message.topic)?.(message.payload)
    })
  }
  const known = topics
  known.set(topic, callback)
  return () => void known.delete(topic)
}
