// Shows the call centre live. What comes from rows is only ever set as text.
import { Channel } from './realtime.js'

const $ = (id) => document.getElementById(id)
const FEED_ROWS = 60
const CHATS = 14
const ENDED = new Set(['finalizada', 'fallida'])
const bind = (table, event = '*') => ({ event, schema: 'public', table })
const BINDINGS = [
  bind('llamadas_ventas'),
  bind('conversaciones_whatsapp'),
  bind('mensajes_whatsapp', 'INSERT'),
  bind('prospectos', 'UPDATE'),
  bind('llamadas_programadas', 'INSERT'),
  bind('user_notifications', 'INSERT'),
  bind('bot_pause_status'),
]
const SHOWN = {
  llamadas_ventas: ['call_id', 'estado', 'checkpoint', 'razon_fin'],
  conversaciones_whatsapp: ['ultimo_mensaje'],
  mensajes_whatsapp: ['rol', 'mensaje'],
  prospectos: ['nombre', 'etapa', 'score'],
  llamadas_programadas: ['prospecto_id', 'programada_para'],
  user_notifications: ['cuerpo'],
  bot_pause_status: ['uchat_id', 'motivo'],
}

let channel, people, prospects, calls, chats, ended, times, total, begun
let turn = 0

function element(tag, text, className) {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = text
  if (className) made.className = className
  return made
}

async function ask(path, user) {
  const query = user ? `?user=${encodeURIComponent(user)}` : ''
  const answer = await fetch(path + query)
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
  return answer.json()
}

async function start(user) {
  const mine = ++turn
  channel?.close()
  people = prospects = {}
  calls = new Map()
  chats = new Map()
  ended = new Set()
  times = []
  total = 0
  begun = performance.now()
  $('feed').replaceChildren()
  draw()
  const session = await ask('/demo/session', user)
  if (mine !== turn) return
  people = Object.fromEntries(session.users.map((each) => [each.id, each.nombre]))
  offer(session)
  channel = new Channel({
    token: session.token,
    topic: 'call-centre',
    bindings: BINDINGS,
    onState: light,
    onChange: apply,
    onJoin: () => load(session.user.id, mine),
  })
  channel.open()
}

// Loaded once listening, so nothing falls between; what changed meanwhile is newer than the state.
async function load(user, mine) {
  calls.clear()
  ended.clear()
  const state = await ask('/demo/state', user)
  if (mine !== turn) return
  prospects = state.prospects
  state.calls.forEach((call) => ended.has(call.call_id) || keep(calls, call.call_id, call))
  state.conversations.forEach((chat) => keep(chats, chat.id, chat))
  draw()
}

function keep(rows, key, row) {
  const known = rows.get(key)
  if (!known || Date.parse(known.updated_at) <= Date.parse(row.updated_at)) rows.set(key, row)
}

function apply(data) {
  const row = data.record ?? data.old_record ?? {}
  if (data.table === 'llamadas_ventas') {
    if (data.type === 'DELETE' || ENDED.has(row.estado)) {
      calls.delete(row.call_id)
      ended.add(row.call_id)
    } else keep(calls, row.call_id, row)
  }
  if (data.table === 'conversaciones_whatsapp') keep(chats, row.id, row)
  if (data.table === 'prospectos') prospects[row.id] = row.nombre
  total += 1
  times.push(performance.now())
  $('delay').textContent = `${Math.max(0, Date.now() - Date.parse(data.commit_timestamp))} ms`
  feed(data, row)
  schedule()
}

function feed(data, row) {
  const line = element('tr', undefined, 'fresh')
  const shown = (SHOWN[data.table] ?? Object.keys(row)).map((name) => row[name])
  const text = shown.filter((value) => value !== null && value !== undefined).join(' · ')
  const time = new Date(data.commit_timestamp).toLocaleTimeString()
  line.append(...[time, data.type, data.table, text].map((cell) => element('td', cell)))
  $('feed').prepend(line)
  while ($('feed').rows.length > FEED_ROWS) $('feed').deleteRow(-1)
}

let drawing = false
function schedule() {
  if (drawing) return
  drawing = true
  requestAnimationFrame(() => {
    drawing = false
    draw()
  })
}

function draw() {
  const open = [...calls.values()].sort((a, b) => a.call_id - b.call_id)
  $('calls-count').textContent = open.length
  $('calls').replaceChildren(...open.map(card))
  const recent = [...chats.values()].sort((a, b) => Date.parse(b.updated_at) - Date.parse(a.updated_at))
  $('chats').replaceChildren(...recent.slice(0, CHATS).map(conversation))
}

function card(call) {
  const item = element('li')
  item.dataset.state = call.estado
  const top = element('div', undefined, 'top')
  const clock = element('span', since(call.fecha), 'clock')
  clock.dataset.since = call.fecha
  top.append(element('span', prospects[call.prospecto_id] ?? `Prospecto ${call.prospecto_id}`), clock)
  const facts = [call.estado, call.tipo, call.checkpoint].filter(Boolean).join(' · ')
  item.append(top, element('div', facts, 'small'), element('div', people[call.agente_id], 'small'))
  const notes = call.datos?.notas
  if (notes?.length) item.append(element('div', notes.at(-1), 'small'))
  return item
}

function conversation(chat) {
  const item = element('li')
  item.append(element('span', prospects[chat.prospecto_id] ?? `Prospecto ${chat.prospecto_id}`))
  item.append(chat.no_leidos ? element('span', chat.no_leidos, 'badge') : element('span'))
  item.append(element('span', chat.ultimo_mensaje, 'small'))
  return item
}

function since(start) {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(start)) / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function light(state, reason) {
  $('light').dataset.state = state
  $('light').textContent = reason ?? { live: 'live', waiting: 'connecting', lost: 'connection lost' }[state]
}

function offer({ user, users }) {
  const options = users.map((each) => {
    const option = element('option', `${each.nombre} (${each.puesto})`)
    option.value = each.id
    option.selected = each.id === user.id
    return option
  })
  $('user').replaceChildren(...options)
}

setInterval(() => {
  for (const clock of document.querySelectorAll('.clock')) clock.textContent = since(clock.dataset.since)
  const now = performance.now()
  times = times.filter((time) => now - time < 10_000)
  const seconds = Math.min(10, Math.max(1, (now - begun) / 1000))
  $('rate').textContent = (times.length / seconds).toFixed(1)
  $('count').textContent = total
}, 1000)

const begin = (user) => start(user).catch((error) => light('lost', error.message))
$('user').addEventListener('change', () => begin($('user').value))
begin()
