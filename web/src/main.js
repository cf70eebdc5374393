// Puts the page together: who is signed in, what they see, and how it stays live.
import 'uplot/dist/uPlot.min.css'
import './page.css'
import { Activity } from './activity.js'
import { Agenda } from './agenda.js'
import { Board } from './board.js'
import { Chats } from './chats.js'
import { Detail } from './detail.js'
import { $, announce, h, say } from './dom.js'
import { Figures } from './figures.js'
import { Light } from './light.js'
import { Live } from './live.js'
import { Prospects } from './prospects.js'
import { Refused, Session } from './session.js'
import { Sound } from './sound.js'

class Page {
  #reading = null
  #again = false

  constructor(session) {
    this.session = session
    const live = (this.live = new Live(session.supabase))
    const sound = new Sound($('sound'))
    const fetch = () => this.read()
    const shared = { live, session, sound, fetch }
    this.prospects = new Prospects({ ...shared, changed: () => this.board.draw() })
    shared.prospects = this.prospects
    this.detail = new Detail(shared)
    this.board = new Board({ ...shared, open: (id) => this.detail.open(id) })
    this.chats = new Chats(shared)
    this.agenda = new Agenda(shared)
    this.activity = new Activity(shared)
    this.figures = new Figures(shared)
    this.light = new Light({ live, back: fetch })
    $('logout').addEventListener('click', () => this.leave())
    $('gateway').addEventListener('click', () => this.#switchGateway())
    this.#people()
    // supabase-js tells of a sign-out, whoever asked for it: an expired session, say.
    session.supabase.auth.onAuthStateChange((event) => {
      if (event === 'SIGNED_OUT' && session.user) void this.leave()
    })
  }

  get #parts() {
    return [this.board, this.prospects, this.chats, this.agenda, this.activity]
  }

  async enter() {
    const { user } = this.session
    say($('me-name'), user.nombre)
    say($('me-role'), user.puesto === 'supervisor' ? user.puesto : `${user.puesto} · ${user.coordinaciones.join(', ')}`)
    $('gateway').hidden = user.puesto !== 'supervisor'
    $('welcome').hidden = true
    $('app').hidden = false
    for (const part of this.#parts) part.listen()
    this.figures.start()
    this.light.show()
    $('main').focus({ preventScroll: true })
    await this.read()
  }

  /** Log out: no channel, timer or row stays. */
  async leave() {
    this.figures.stop()
    this.detail.close()
    await this.live.cleanup()
    for (const part of this.#parts) part.clear()
    if (this.session.user) await this.session.signOut()
    $('app').hidden = true
    $('welcome').hidden = false
    $('people').querySelector('button').focus()
  }

  /** Read all there is: at the start, after an absence, and while changes don't come. */
  async read() {
    if (this.#reading) {
      this.#again = true
      return this.#reading
    }
    this.#reading = this.#read()
    try {
      await this.#reading
    } finally {
      this.#reading = null
    }
    if (this.#again) {
      this.#again = false
      await this.read()
    }
  }

  async #read() {
    if (!this.session.user) return
    try {
      const state = await this.session.ask('state')
      this.prospects.load(state.prospects, state.at)
      this.board.load(state.calls, state.at)
      this.chats.load(state.conversations, state.at)
      this.agenda.load(state.scheduled, state.at)
      await Promise.all([this.chats.refresh(), this.detail.refresh()])
    } catch (error) {
      if (error instanceof Refused && error.status === 401) await this.leave()
      // Else the server is away: the light says so, and polling asks again.
    }
  }

  async #switchGateway() {
    const button = $('gateway')
    const stop = button.dataset.running !== 'false'
    button.disabled = true
    try {
      const { running } = await this.session.ask('gateway', { running: !stop })
      button.dataset.running = String(running)
      say(button, running ? 'Stop the gateway' : 'Start the gateway')
    } catch (error) {
      announce(`Not done: ${error.message}`)
    } finally {
      button.disabled = false
    }
  }

  #people() {
    for (const [role, title] of [['supervisor', 'Supervisors see everything'], ['agente', 'Agents see their own coordination']]) {
      const group = h('div', { class: 'people', role: 'group', 'aria-label': title })
      for (const each of this.session.users.filter((user) => user.puesto === role))
        group.append(
          h('button', { type: 'button', class: 'person', 'data-email': each.email, onclick: () => this.#signIn(each.email) },
            h('b', { lang: 'es' }, each.nombre),
            h('small', { lang: 'es' }, each.coordinaciones.join(', '))
          )
        )
      $('people').append(h('h2', {}, title), group)
    }
  }

  async #signIn(email) {
    say($('welcome-error'), '')
    try {
      await this.session.signIn(email)
      await this.enter()
    } catch (error) {
      say($('welcome-error'), `Not signed in: ${error.message}`)
    }
  }
}

function themes(changed) {
  const root = document.documentElement
  const dark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches)
  const kept = localStorage.getItem('theme')
  if (kept) root.dataset.theme = kept
  $('theme').addEventListener('click', () => {
    root.dataset.theme = dark() ? 'light' : 'dark'
    localStorage.setItem('theme', root.dataset.theme)
    changed()
  })
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', changed)
}

async function main() {
  const session = await Session.open()
  const page = new Page(session)
  themes(() => page.figures.recolour())
  if (await session.resume()) await page.enter()
  else $('welcome').hidden = false
}

main().catch((error) => {
  $('welcome').hidden = false
  say($('welcome-error'), `The demo does not answer: ${error.message}`)
})
