// The console: logs in, asks for the figures every two seconds, and shows the chosen tab.
import { $, announce, el, joined, seconds } from './dom.js'
import { History } from './history.js'
import * as views from './views.js'

const PERIOD = 2000
const TOKEN = 'realtime-hub-console-token'
const THEME = 'realtime-hub-console-theme'
const TABS = [
  ['overview', 'Overview'],
  ['tables', 'Tables'],
  ['listeners', 'Listeners'],
  ['database', 'Slot and log'],
  ['access', 'Access'],
  ['errors', 'Errors'],
  ['audit', 'Audit'],
  ['metrics', 'Metrics'],
]
const SLOT_WARNINGS = {
  missing: ['bad', 'The replication slot is gone: changes are being missed.'],
  inactive: ['warn', 'Nobody reads the replication slot; PostgreSQL keeps WAL for it.'],
  lost: ['bad', 'The slot has lost WAL: the next changes come after a gap.'],
  unreserved: ['bad', 'The slot is about to lose WAL that is still needed.'],
  retained: ['warn', 'PostgreSQL keeps much WAL for the slot.'],
  unlimited: ['warn', 'max_slot_wal_keep_size is not set: a slot that nobody reads fills the disk.'],
}

class Refused extends Error {}

let token = sessionStorage.getItem(TOKEN)
let history = new History()
let view = null
let timer = null
let paused = false
let state = 'connecting'

async function ask(path) {
  const answer = await fetch(`api/${path}`, {
    headers: { Authorization: `Bearer ${token}` },
    cache: 'no-store',
    signal: AbortSignal.timeout(10_000),
  })
  const body = await answer.json()
  if (answer.status === 401 || answer.status === 403) throw new Refused(body.message)
  if (!answer.ok) throw new Error(body.message ?? `status ${answer.status}`)
  return body
}

// Coming and going

async function login(event) {
  event.preventDefault()
  token = $('token').value.trim()
  try {
    history.add(await ask('figures'))
  } catch (error) {
    $('login-error').textContent = error instanceof Refused ? `Not accepted: ${error.message}` : 'The gateway does not answer.'
    return
  }
  sessionStorage.setItem(TOKEN, token)
  $('token').value = ''
  $('login-error').textContent = ''
  open()
}

function open() {
  $('login').hidden = true
  $('app').hidden = false
  route()
  tick()
}

function leave(reason = '') {
  clearTimeout(timer)
  view?.close()
  view = null
  token = null
  history = new History()
  sessionStorage.removeItem(TOKEN)
  $('view').replaceChildren()
  $('app').hidden = true
  $('login').hidden = false
  $('login-error').textContent = reason
  $('token').focus()
}

// Figures

async function tick() {
  clearTimeout(timer)
  if (!document.hidden && !paused) await read()
  if (token !== null) timer = setTimeout(tick, PERIOD)
}

async function read() {
  try {
    history.add(await ask('figures'))
    light(history.value('realtime_hub_streaming') ? 'streaming' : 'waiting')
  } catch (error) {
    if (error instanceof Refused) return leave(`Logged out: ${error.message}`)
    history.miss()
    light('away')
  }
  await show()
}

async function show() {
  about()
  warn()
  try {
    await view?.update()
  } catch (error) {
    if (error instanceof Refused) leave(`Logged out: ${error.message}`)
    // Otherwise the gateway is away, which the light says.
  }
}

function light(next) {
  if (next === state) return
  state = next
  const words = {
    streaming: 'Streaming',
    waiting: 'Waiting for PostgreSQL',
    away: 'Gateway away',
    connecting: 'Connecting',
  }
  $('light').dataset.state = state
  $('light-word').textContent = words[state]
  announce(words[state])
}

function about() {
  const last = history.newest
  if (last === null) return
  const up = last.at - history.value('realtime_hub_started')
  $('about').textContent = `version ${last.version}, up for ${joined(seconds(Math.max(0, up)))}`
}

function warn() {
  const found = []
  if (state === 'away') found.push(['bad', 'The gateway does not answer; the last figures are shown.', 'realtime_hub_started'])
  if (state === 'waiting') found.push(['bad', 'The replication stream is not read at the moment.', 'realtime_hub_streaming'])
  if (history.value('realtime_hub_log_failing')) found.push(['bad', 'The change log cannot be written.', 'realtime_hub_log_failing'])
  const slot = history.labels('realtime_hub_slot_warning')
  for (const [name, [level, text]] of Object.entries(SLOT_WARNINGS))
    if (slot[name]) found.push([level, text, 'realtime_hub_slot_warning'])
  const shown = JSON.stringify(found)
  if ($('warnings').dataset.shown === shown) return
  $('warnings').dataset.shown = shown
  $('warnings').replaceChildren(
    ...found.map(([level, text, metric]) =>
      el('li', { 'data-level': level }, `${text} `, el('a', { class: 'metric', href: `#metrics/${metric}` }, metric))
    )
  )
}

// Tabs

function route() {
  const [asked, ...rest] = location.hash.slice(1).split('/')
  const tab = TABS.some(([name]) => name === asked) ? asked : 'overview'
  for (const button of $('tabs').children) {
    const chosen = button.id === `tab-${tab}`
    button.setAttribute('aria-selected', String(chosen))
    button.tabIndex = chosen ? 0 : -1
    if (chosen) button.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }
  view?.close()
  $('view').replaceChildren()
  $('view').setAttribute('aria-labelledby', `tab-${tab}`)
  view = views[tab]($('view'), history, ask, rest.join('/'))
  show()
}

function makeTabs() {
  $('tabs').append(
    ...TABS.map(([name, title]) =>
      el('button', { id: `tab-${name}`, type: 'button', role: 'tab', 'aria-controls': 'view' }, title)
    )
  )
  $('tabs').addEventListener('click', (event) => {
    const tab = event.target.closest('[role=tab]')
    if (tab) location.hash = tab.id.slice(4)
  })
  $('tabs').addEventListener('keydown', (event) => {
    const all = [...$('tabs').children]
    const here = all.indexOf(document.activeElement)
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: all.length - 1 }[event.key]
    if (to === undefined || here < 0) return
    event.preventDefault()
    const next = all.at(to % all.length)
    next.focus()
    location.hash = next.id.slice(4)
  })
}

function turn() {
  const root = document.documentElement
  const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = dark ? 'light' : 'dark'
  localStorage.setItem(THEME, root.dataset.theme)
  show()
}

document.documentElement.dataset.theme =
  localStorage.getItem(THEME) ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')
makeTabs()
$('login-form').addEventListener('submit', login)
$('logout').addEventListener('click', () => leave())
$('theme').addEventListener('click', turn)
$('pause').addEventListener('click', () => {
  paused = !paused
  $('pause').setAttribute('aria-pressed', String(paused))
})
addEventListener('hashchange', () => token !== null && !$('app').hidden && route())
document.addEventListener('visibilitychange', () => token !== null && !document.hidden && tick())
if (token === null) leave()
else open()
