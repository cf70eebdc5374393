// Active calls by stage, with running clocks: the live monitor and the active-calls widget.
import { $, announce, clock, frame, h, keyed, say } from './dom.js'
import { Rows } from './rows.js'

const CALLS = 'llamadas_ventas'
const MOST = 60
export const STATES = { en_cola: 'Queued', sonando: 'Ringing', activa: 'Active', transferida: 'Transferred' }
const ENDED = { finalizada: 'Finished', fallida: 'Failed' }

export class Board {
  calls = new Rows('call_id', MOST)
  #lists = {}
  #today = { won: 0, ended: 0 }
  #draw = frame(() => this.#render())

  constructor({ live, session, prospects, sound, open, fetch }) {
    this.session = session
    this.prospects = prospects
    this.open = open
    for (const [state, word] of Object.entries(STATES)) {
      const list = h('ul', { class: 'cards', 'aria-labelledby': `column-${state}` })
      const count = h('span', { class: 'count' }, '0')
      const title = h('h3', { id: `column-${state}` }, h('i', { class: `dot ${state}` }), word, count)
      $('columns').append(h('div', { class: 'column', 'data-state': state }, title, list))
      this.#lists[state] = { list, count }
    }
    // The monitor, with its polling fallback; then the widget, with permissions and a sound.
    this.listen = () => [
      live.subscribe(CALLS, ['INSERT', 'UPDATE'], (change) => this.#take(change.new), {
        poll: { fetch, every: 3_000 },
        onGap: fetch,
      }),
      live.subscribe(CALLS, ['INSERT', 'UPDATE'], ({ new: call }) => {
        const mine = session.user?.puesto === 'supervisor' || call.agente_id === session.user?.id
        if (!mine || call.estado !== 'sonando') return
        sound.play('ring')
        announce(`A call rings: ${prospects.nameOf(call.prospecto_id)}`)
      }),
    ]
    this.ticking = setInterval(() => this.#tick(), 1_000)
  }

  load(calls, at) {
    this.calls.load(calls, at)
    this.#draw()
  }

  clear() {
    this.calls.clear()
    this.#today = { won: 0, ended: 0 }
    this.#render()
  }

  draw() {
    this.#draw()
  }

  #take(call) {
    if (call.estado in ENDED) {
      if (this.calls.get(call.call_id)) {
        this.#today.ended++
        if (call.es_exitosa) this.#today.won++
      }
      this.calls.drop(call)
    } else this.calls.put(call)
    this.#draw()
  }

  #render() {
    const calls = this.calls.values().sort((a, b) => Date.parse(a.fecha) - Date.parse(b.fecha))
    say($('board-count'), calls.length)
    const { ended, won } = this.#today
    say($('board-today'), ended ? `${ended} ended while you watched, ${won} sold` : '')
    for (const [state, { list, count }] of Object.entries(this.#lists)) {
      const here = calls.filter((call) => call.estado === state)
      say(count, here.length)
      keyed(list, here, (call) => call.call_id, (call) => this.#card(call), (parts, call) => this.#fill(parts, call))
    }
  }

  #card(call) {
    const part = (tag, name, more) => h(tag, { 'data-part': name, ...more })
    const button = h(
      'button',
      { type: 'button', class: 'card', 'data-part': 'button', onclick: () => this.open(call.call_id) },
      h('span', { class: 'card-top' }, part('b', 'name', { lang: 'es' }), part('time', 'clock', { class: 'clock' })),
      h('span', { class: 'card-facts' }, part('span', 'agent', { lang: 'es' }), part('span', 'kind', { class: 'tag', lang: 'es' })),
      h('span', { class: 'progress', 'data-part': 'progress', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'), h('i'), h('i'), h('i')),
      part('span', 'note', { class: 'note', lang: 'es' })
    )
    return h('li', {}, button)
  }

  #fill(parts, call) {
    say(parts.name, this.prospects.nameOf(call.prospecto_id))
    parts.clock.dataset.since = call.fecha
    say(parts.clock, clock(call.fecha))
    say(parts.agent, this.session.nameOf(call.agente_id))
    say(parts.kind, call.tipo)
    const notes = call.datos?.notas ?? []
    say(parts.note, notes.at(-1) ?? '')
    parts.progress.dataset.done = notes.length
    parts.button.classList.toggle('mine', call.agente_id === this.session.user?.id)
  }

  #tick() {
    for (const each of document.querySelectorAll('.clock[data-since]')) say(each, clock(each.dataset.since))
  }
}
