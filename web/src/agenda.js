// Calls that were promised, soonest first.
import { $, dayOf, frame, h, keyed, say } from './dom.js'
import { Rows } from './rows.js'

const SHOWN = 15

export class Agenda {
  rows = new Rows('id', 120)
  #draw = frame(() => this.#render())

  constructor({ live, prospects, session, fetch }) {
    Object.assign(this, { prospects, session })
    this.listen = () => [
      live.subscribe('llamadas_programadas', '*', (change) => {
        if (change.eventType === 'DELETE') this.rows.drop(change.old)
        else if (change.new.estatus === 'pendiente') this.rows.put(change.new)
        else this.rows.drop(change.new)
        this.#draw()
      }, { onGap: fetch }),
    ]
  }

  load(rows, at) {
    this.rows.load(rows, at)
    this.#draw()
  }

  clear() {
    this.rows.clear()
    this.#render()
  }

  draw() {
    this.#draw()
  }

  #render() {
    const rows = this.rows.values().sort((a, b) => Date.parse(a.programada_para) - Date.parse(b.programada_para))
    say($('agenda-count'), rows.length)
    keyed($('agenda-list'), rows.slice(0, SHOWN), (row) => row.id, () => this.#item(), (parts, row) => {
      say(parts.name, this.prospects.nameOf(row.prospecto_id))
      say(parts.more, [row.justificacion, this.session.nameOf(row.creada_por)].filter(Boolean).join(' · '))
      say(parts.time, dayOf(row.programada_para))
    })
  }

  #item() {
    return h(
      'li',
      { class: 'row' },
      h('span', { class: 'row-main' }, h('b', { 'data-part': 'name', lang: 'es' }), h('small', { 'data-part': 'more', lang: 'es' })),
      h('time', { 'data-part': 'time' })
    )
  }
}
