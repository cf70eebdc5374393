// New prospects, and the list of them all: two widgets with subscriptions of their own.
import { $, frame, h, keyed, say, timeOf } from './dom.js'
import { newest, Rows } from './rows.js'

const PROSPECTS = 'prospectos'
const SHOWN = 40
const NEW = 12

export class Prospects {
  rows = new Rows('id', 600)
  #heard = new Map()
  #draw = frame(() => this.#render())

  constructor({ live, session, sound, changed, fetch }) {
    this.session = session
    this.changed = changed
    for (const stage of session.stages) $('stage').append(h('option', { value: stage }, stage))
    $('find').addEventListener('input', this.#draw)
    $('stage').addEventListener('input', this.#draw)
    this.listen = () => [
      // The new-prospects widget.
      live.subscribe(PROSPECTS, ['INSERT', 'UPDATE'], ({ eventType, new: row }) => {
        if (eventType === 'INSERT') sound.play('new')
        if (eventType === 'INSERT' || row.etapa === 'Nuevo') this.#take(row)
      }, { onGap: fetch }),
      live.subscribe('mensajes_whatsapp', 'INSERT', ({ new: message }) => {
        if (message.direccion === 'entrante') this.#hear(message)
      }),
      // The manager.
      live.subscribe(PROSPECTS, 'UPDATE', ({ new: row }) => this.#take(row)),
    ]
  }

  get(id) {
    return this.rows.get(id)
  }

  nameOf(id) {
    return this.rows.get(id)?.nombre ?? `Prospecto ${id}`
  }

  load(rows, at) {
    this.rows.load(rows, at)
    this.#draw()
  }

  clear() {
    this.rows.clear()
    this.#heard.clear()
    this.#render()
  }

  #take(row) {
    if (this.rows.put(row)) this.#draw()
    this.changed()
  }

  #hear(message) {
    this.#heard.delete(message.prospecto_id)
    this.#heard.set(message.prospecto_id, message.mensaje)
    if (this.#heard.size > 100) this.#heard.delete(this.#heard.keys().next().value)
    this.#draw()
  }

  #render() {
    const all = this.rows.values().sort(newest)
    const fresh = all.filter((row) => row.etapa === 'Nuevo' && row.requiere_atencion)
    say($('new-count'), fresh.length)
    keyed($('new-list'), fresh.slice(0, NEW), (row) => row.id, () => this.#fresh(), (parts, row) => {
      say(parts.name, row.nombre)
      say(parts.more, this.#heard.get(row.id) ?? [row.ciudad, row.origen].filter(Boolean).join(' · '))
      say(parts.time, timeOf(row.updated_at))
      parts.take.dataset.id = row.id
      parts.take.setAttribute('aria-label', `Contacted: ${row.nombre}`)
    })
    const text = $('find').value.trim().toLowerCase()
    const stage = $('stage').value
    const found = all.filter(
      (row) =>
        (!stage || row.etapa === stage) &&
        (!text || `${row.nombre} ${row.ciudad} ${row.telefono}`.toLowerCase().includes(text))
    )
    say($('prospects-count'), text || stage ? `${found.length} of ${all.length}` : all.length)
    keyed($('prospect-rows'), found.slice(0, SHOWN), (row) => row.id, () => this.#row(), (parts, row) => {
      say(parts.name, row.nombre)
      say(parts.city, [row.ciudad, row.temperamento].filter(Boolean).join(' · '))
      say(parts.stage, row.etapa)
      parts.stage.dataset.stage = row.etapa
      say(parts.score, row.score)
    })
  }

  #fresh() {
    const take = h('button', { type: 'button', class: 'tool', 'data-part': 'take', onclick: (event) => this.#contacted(event.currentTarget) }, 'Contacted')
    return h(
      'li',
      { class: 'row' },
      h('span', { class: 'row-main' }, h('b', { 'data-part': 'name', lang: 'es' }), h('small', { 'data-part': 'more', lang: 'es' })),
      h('time', { 'data-part': 'time' }),
      take
    )
  }

  #row() {
    return h(
      'tr',
      {},
      h('th', { scope: 'row' }, h('b', { 'data-part': 'name', lang: 'es' }), h('small', { 'data-part': 'city', lang: 'es' })),
      h('td', {}, h('span', { class: 'stage', 'data-part': 'stage', lang: 'es' })),
      h('td', { class: 'num', 'data-part': 'score' })
    )
  }

  /** The change comes back live, to this page as to all others. */
  async #contacted(button) {
    button.disabled = true
    try {
      await this.session.ask(`prospects/${button.dataset.id}/stage`, { stage: 'Contactado' })
    } catch {
      button.disabled = false
    }
  }
}
