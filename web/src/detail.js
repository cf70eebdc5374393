// One call, with its conversation as it happens.
import { $, clock, h, keyed, say, timeOf } from './dom.js'
import { STATES } from './board.js'
import { Refused } from './session.js'

const FACTS = ['State', 'Running', 'Agent', 'Kind', 'Stage reached', 'Chance', 'City', 'Temperament']

export class Detail {
  #leave = []
  #id = null
  #asked = 0
  #talk = []

  constructor({ live, session, prospects }) {
    Object.assign(this, { live, session, prospects })
    this.facts = new Map(FACTS.map((name) => [name, h('dd')]))
    $('detail-body').append(h('dl', { class: 'facts' }, ...FACTS.map((name) => h('div', {}, h('dt', {}, name), this.facts.get(name)))))
    $('detail-close').addEventListener('click', () => $('detail').close())
    $('detail').addEventListener('click', (event) => event.target === $('detail') && $('detail').close())
    $('detail').addEventListener('close', () => this.#end())
    $('detail-form').addEventListener('submit', (event) => this.#schedule(event))
  }

  async open(id) {
    this.#end()
    this.#id = id
    const { live } = this
    this.#leave = [
      live.subscribe('llamadas_ventas', 'UPDATE', (change) => this.#show(change.new), {
        filter: `call_id=eq.${id}`,
        onGap: () => this.refresh(),
      }),
      live.subscribe('mensajes_whatsapp', 'INSERT', ({ new: message }) => {
        if (message.prospecto_id === this.call?.prospecto_id) this.#hear(message)
      }),
    ]
    say($('detail-said'), '')
    if (!$('detail').open) $('detail').showModal()
    await this.refresh()
  }

  /** Read it again: when it is opened, and when something may have been missed. */
  async refresh() {
    if (this.#id === null) return
    const asked = ++this.#asked
    const { call, messages } = await this.session.ask(`calls/${this.#id}`)
    if (asked !== this.#asked || !call) return
    this.#talk = messages.slice(-5)
    this.#show(call)
  }

  close() {
    if ($('detail').open) $('detail').close()
    this.#end()
  }

  #end() {
    this.#leave.splice(0).forEach((leave) => leave())
    this.#id = this.call = null
    this.#asked++
    this.#talk = []
    $('detail-talk').replaceChildren()
  }

  #show(call) {
    if (this.call && Date.parse(this.call.updated_at) > Date.parse(call.updated_at)) return
    this.call = call
    const prospect = this.prospects.get(call.prospecto_id)
    const ended = !(call.estado in STATES)
    const clockOf = this.facts.get('Running')
    say($('detail-title'), this.prospects.nameOf(call.prospecto_id))
    say(this.facts.get('State'), STATES[call.estado] ?? `Ended${call.razon_fin ? `: ${call.razon_fin}` : ''}`)
    if (ended) delete clockOf.dataset.since
    else clockOf.dataset.since = call.fecha
    clockOf.classList.add('clock')
    say(clockOf, clock(call.fecha, ended ? Date.parse(call.updated_at) : Date.now()))
    say(this.facts.get('Agent'), this.session.nameOf(call.agente_id))
    say(this.facts.get('Kind'), call.tipo)
    say(this.facts.get('Stage reached'), call.checkpoint ?? '–')
    say(this.facts.get('Chance'), call.probabilidad === null ? '–' : `${Math.round(call.probabilidad * 100)} %`)
    say(this.facts.get('City'), prospect?.ciudad ?? '–')
    say(this.facts.get('Temperament'), prospect?.temperamento ?? '–')
    this.#render()
  }

  #hear(message) {
    this.#talk = [...this.#talk, message].slice(-10)
    this.#render()
  }

  #render() {
    const said = (this.call?.datos?.turnos ?? []).map((turn, i) => ({
      key: `turn ${i}`,
      ours: turn.rol === 'agente',
      text: turn.texto,
      from: 'on the phone',
    }))
    const written = this.#talk.map((message) => ({
      key: `message ${message.id}`,
      ours: message.direccion === 'saliente',
      text: message.mensaje,
      from: `WhatsApp, ${timeOf(message.fecha)}`,
    }))
    bubbles($('detail-talk'), [...written, ...said])
  }

  async #schedule(event) {
    event.preventDefault()
    const minutes = Number($('detail-when').value)
    const prospect = this.call?.prospecto_id
    try {
      await this.session.ask('scheduled', { prospect, minutes, reason: 'Llamar de nuevo' })
      say($('detail-said'), 'Scheduled: see the agenda.')
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      say($('detail-said'), error.message)
    }
  }
}

/** Speech bubbles; the list stays at its end unless somebody has scrolled up. */
export function bubbles(list, items) {
  const box = list.parentElement
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60
  keyed(
    list,
    items,
    (item) => item.key,
    () => h('li', {}, h('p', { 'data-part': 'text', lang: 'es' }), h('small', { 'data-part': 'from' })),
    (parts, item, element) => {
      element.classList.toggle('ours', item.ours)
      say(parts.text, item.text)
      say(parts.from, item.from)
    }
  )
  if (atEnd) box.scrollTop = box.scrollHeight
}
