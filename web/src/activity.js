// The store of live activity: every change of a call, with a grace period that keeps bursts apart.
import { $, frame, h, keyed, say, secondOf } from './dom.js'
import { STATES } from './board.js'

const SHOWN = 20
const GRACE = 120
const WORDS = { ...STATES, finalizada: 'Finished', fallida: 'Failed' }

export class Activity {
  #events = []
  #waiting = new Map()
  #count = 0
  #delays = []
  #draw = frame(() => this.#render())

  constructor({ live, prospects }) {
    this.prospects = prospects
    this.listen = () => [
      live.subscribe('llamadas_ventas', '*', (change) => this.#take(change)),
      // Beside it, how long a change was on its way.
      live.subscribe('llamadas_ventas', '*', (change) => {
        this.#delays.push(Math.max(0, Date.now() - Date.parse(change.commit_timestamp)))
        if (this.#delays.length > 50) this.#delays.shift()
      }),
    ]
  }

  clear() {
    for (const timer of this.#waiting.values()) clearTimeout(timer)
    this.#waiting.clear()
    this.#events = []
    this.#delays = []
    this.#render()
  }

  /** Several changes of one call in a moment are one line: the last. */
  #take({ new: call }) {
    if (!call?.call_id) return
    clearTimeout(this.#waiting.get(call.call_id))
    const show = () => {
      this.#waiting.delete(call.call_id)
      const what = call.estado === 'activa' && call.checkpoint ? call.checkpoint : WORDS[call.estado]
      this.#events.unshift({ key: ++this.#count, call, what, at: call.updated_at })
      this.#events.length = Math.min(this.#events.length, SHOWN)
      this.#draw()
    }
    this.#waiting.set(call.call_id, setTimeout(show, GRACE))
  }

  #render() {
    const sorted = [...this.#delays].sort((a, b) => a - b)
    const middle = sorted[Math.floor(sorted.length / 2)]
    say($('activity-delay'), middle === undefined ? '' : `commit to screen ${middle} ms`)
    keyed($('activity-list'), this.#events, (event) => event.key, () => this.#item(), (parts, { call, what, at }) => {
      say(parts.name, this.prospects.nameOf(call.prospecto_id))
      say(parts.what, `${what} · ${secondOf(at)}`)
      parts.dot.className = `dot ${call.estado}`
    })
  }

  #item() {
    return h(
      'li',
      { class: 'row fresh' },
      h('i', { 'data-part': 'dot' }),
      h('span', { class: 'row-main' }, h('b', { 'data-part': 'name', lang: 'es' }), h('small', { 'data-part': 'what' }))
    )
  }
}
