// WhatsApp conversations, and a live chat of the one that is open.
import { $, frame, h, keyed, say, timeOf } from './dom.js'
import { bubbles } from './detail.js'
import { newest, Rows } from './rows.js'
import { Refused } from './session.js'

const MESSAGES = 'mensajes_whatsapp'
const SHOWN = 80
const KEPT = 60

export class Chats {
  conversations = new Rows('id', 80)
  #open = null
  #leave = []
  #asked = 0
  #messages = new Rows('id', KEPT)
  #draw = frame(() => this.#render())

  constructor({ live, session, prospects, sound, fetch }) {
    Object.assign(this, { live, session, prospects })
    this.listen = () => [
      // The conversations widget: a list that moves with each message and each prospect.
      live.subscribe('conversaciones_whatsapp', ['INSERT', 'UPDATE'], ({ new: row }) => {
        if (this.conversations.put(row)) this.#draw()
      }, { onGap: fetch }),
      live.subscribe(MESSAGES, 'INSERT', ({ new: message }) => {
        if (message.conversacion_id === this.#open && message.direccion === 'entrante') sound.play('message')
      }, { onGap: () => this.refresh() }),
      live.subscribe('prospectos', 'UPDATE', () => this.#draw()),
    ]
    $('chat-form').addEventListener('submit', (event) => this.#send(event))
    $('chat-back').addEventListener('click', () => this.close())
  }

  load(rows, at) {
    this.conversations.load(rows, at)
    this.#draw()
  }

  clear() {
    this.close()
    this.conversations.clear()
    this.#render()
  }

  draw() {
    this.#draw()
  }

  async open(id) {
    this.close()
    this.#open = id
    const { live } = this
    // The live chat: messages and the prospect's stage.
    this.#leave = [
      live.subscribe(MESSAGES, 'INSERT', ({ new: message }) => {
        if (message.conversacion_id !== this.#open) return
        this.#messages.put(message)
        this.#talk()
      }),
      live.subscribe('prospectos', 'UPDATE', () => this.#title()),
    ]
    $('talk').classList.add('talking')
    $('chat').hidden = false
    $('chat-none').hidden = true
    this.#draw()
    await this.refresh()
    const box = $('chat-messages').parentElement
    box.scrollTop = box.scrollHeight
    $('chat-text').focus({ preventScroll: true })
    await this.session.ask(`conversations/${id}/read`, {}).catch(() => {})
  }

  /** Read it again: when it is opened, and when something may have been missed. */
  async refresh() {
    if (this.#open === null) return
    const asked = ++this.#asked
    const { messages } = await this.session.ask(`conversations/${this.#open}`)
    if (asked !== this.#asked) return
    for (const message of messages) this.#messages.put(message)
    this.#title()
    this.#talk()
  }

  close() {
    this.#leave.splice(0).forEach((leave) => leave())
    this.#open = null
    this.#asked++
    this.#messages.clear()
    $('talk').classList.remove('talking')
    $('chat').hidden = true
    $('chat-none').hidden = false
    $('chat-messages').replaceChildren()
    say($('chat-error'), '')
    this.#draw()
  }

  #render() {
    const rows = this.conversations.values().sort(newest).slice(0, SHOWN)
    say($('chats-count'), rows.reduce((total, row) => total + (row.no_leidos > 0 ? 1 : 0), 0))
    keyed($('chat-list'), rows, (row) => row.id, (row) => this.#item(row), (parts, row) => {
      say(parts.name, this.prospects.nameOf(row.prospecto_id))
      say(parts.text, row.ultimo_mensaje)
      say(parts.time, timeOf(row.updated_at))
      say(parts.unread, row.no_leidos || '')
      parts.unread.hidden = !row.no_leidos
      parts.unread.setAttribute('aria-label', `${row.no_leidos} unread`)
      if (row.id === this.#open) parts.button.setAttribute('aria-current', 'true')
      else parts.button.removeAttribute('aria-current')
    })
  }

  #item(row) {
    const button = h(
      'button',
      { type: 'button', class: 'row chat-row', 'data-part': 'button', onclick: () => this.open(row.id) },
      h('span', { class: 'row-main' }, h('b', { 'data-part': 'name', lang: 'es' }), h('small', { 'data-part': 'text', lang: 'es' })),
      h('span', { class: 'row-end' }, h('time', { 'data-part': 'time' }), h('span', { class: 'badge', 'data-part': 'unread', role: 'img' }))
    )
    return h('li', {}, button)
  }

  #title() {
    const prospect = this.prospects.get(this.conversations.get(this.#open)?.prospecto_id)
    say($('chat-title'), prospect ? `${prospect.nombre} · ${prospect.etapa}` : '')
  }

  #talk() {
    const messages = this.#messages.values().sort((a, b) => Date.parse(a.fecha) - Date.parse(b.fecha))
    const items = messages.map((message) => ({
      key: message.id,
      ours: message.direccion === 'saliente',
      text: message.mensaje,
      from: `${message.direccion === 'saliente' ? this.session.nameOf(message.enviado_por) : ''} ${timeOf(message.fecha)}`.trim(),
    }))
    bubbles($('chat-messages'), items)
  }

  async #send(event) {
    event.preventDefault()
    const text = $('chat-text').value.trim()
    if (!text) return
    say($('chat-error'), '')
    try {
      await this.session.ask(`conversations/${this.#open}/messages`, { text })
      $('chat-text').value = ''
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      say($('chat-error'), `Not sent: ${error.message}`)
    }
  }
}
