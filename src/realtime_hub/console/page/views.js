// What each tab shows. A view has `update`, called with each sample, and `close`.
import { Chart } from './charts.js'
import { bytes, count, el, joined, metricLink, panel, perSecond, seconds, table } from './dom.js'

const CHANGES = 'realtime_hub_table_changes_total'
const LATENCY = 'realtime_hub_gateway_commit_to_send_seconds'
const MOST_SERIES = 5

/** Figures that are updated in place, and charts, in the order in which they stand. */
class Board {
  #figures = []
  #charts = []

  constructor(root, history) {
    this.root = root
    this.history = history
  }

  figures(...given) {
    const cards = given.map(([title, metric, format, read, tone]) => {
      const value = el('dd')
      const card = el('div', { class: 'panel figure' }, el('dt', {}, title), value, el('dd', { class: 'source' }, metricLink(metric)))
      this.#figures.push({ card, value, metric, format, read, tone })
      return card
    })
    this.root.append(el('dl', { class: 'figures' }, cards))
  }

  /** read: gives [name, values] pairs. */
  chart(title, metric, format, read, size = 'half') {
    const chart = new Chart(title, format)
    this.#charts.push({ chart, read })
    this.root.append(panel(title, { metric, size }, chart.root))
  }

  update() {
    const { history } = this
    for (const { card, value, metric, format, read, tone } of this.#figures) {
      const found = read ? read(history) : history.value(metric)
      const [text, unit] = format(found)
      value.replaceChildren(text, unit ? el('small', {}, unit) : '')
      card.dataset.tone = (found !== null && tone?.(found, history)) || ''
      card.dataset.value = found ?? ''
    }
    for (const { chart, read } of this.#charts) chart.show(history.times, read(history))
  }

  close() {
    for (const { chart } of this.#charts) chart.close()
  }
}

const rate = (metric) => (history) => history.rate(metric)
const warnAbove = (limit) => (value) => value > limit && 'warn'
const age = (metric) => (history) => {
  const since = history.value(metric)
  return since ? Math.max(0, history.newest.at - since) : null
}

function busiest(history) {
  const tables = Object.keys(history.labels(CHANGES))
  const by = new Map(tables.map((name) => [name, history.rate(CHANGES, name) ?? 0]))
  return tables.sort((a, b) => by.get(b) - by.get(a) || a.localeCompare(b))
}

function changesByTable(history) {
  const tables = busiest(history).slice(0, MOST_SERIES).sort()
  if (tables.length === 0) return [['all tables', history.rates('realtime_hub_changes_total')]]
  return tables.map((name) => [name, history.rates(CHANGES, name)])
}

const latencies = (history) =>
  [0.5, 0.95, 0.99].map((q) => [`p${q * 100}`, history.quantiles(LATENCY, q)])

export function overview(root, history) {
  const board = new Board(root, history)
  board.figures(
    ['Changes', 'realtime_hub_changes_total', perSecond, rate('realtime_hub_changes_total')],
    ['Deliveries', 'realtime_hub_deliveries_total', perSecond, rate('realtime_hub_deliveries_total')],
    ['Latency, median', LATENCY, seconds, (h) => h.quantile(LATENCY, 0.5)],
    ['Latency, p99', LATENCY, seconds, (h) => h.quantile(LATENCY, 0.99), warnAbove(1)],
    ['Connections', 'realtime_hub_gateway_connections', count],
    ['Channels', 'realtime_hub_gateway_channels', count],
    ['Waiting for clients', 'realtime_hub_gateway_queued_bytes', bytes],
    ['Slot lag', 'realtime_hub_slot_lag_bytes', bytes]
  )
  board.chart('Changes a second by table', CHANGES, perSecond, changesByTable)
  board.chart('From commit to first write', LATENCY, seconds, latencies)
  board.chart('Deliveries and frames a second', 'realtime_hub_gateway_frames_sent_total', perSecond, (h) => [
    ['deliveries', h.rates('realtime_hub_deliveries_total')],
    ['frames', h.rates('realtime_hub_gateway_frames_sent_total')],
  ])
  board.chart('Processor time of this process', 'process_cpu_seconds_total', (value) => [value === null ? '–' : (value * 100).toFixed(1), '%'], (h) => [
    ['of one core', h.rates('process_cpu_seconds_total')],
  ])
  return board
}

export function tables(root, history) {
  const board = new Board(root, history)
  const body = el('div')
  board.chart('Changes a second by table', CHANGES, perSecond, changesByTable, 'wide')
  root.append(panel('Tables', { metric: CHANGES }, body))
  const listeners = 'realtime_hub_table_listeners'
  return {
    close: () => board.close(),
    update() {
      board.update()
      const names = [...new Set([...busiest(history), ...Object.keys(history.labels(listeners)).sort()])]
      const rates = names.map((name) => history.rate(CHANGES, name) ?? 0)
      const most = Math.max(...rates, 0)
      const rows = names.map((name, i) => [
        name,
        joined(perSecond(rates[i])),
        most > 0 ? el('meter', { value: rates[i] / most, 'aria-label': `share of ${name}` }) : '',
        joined(count(history.value(CHANGES, name) ?? 0)),
        joined(count(history.value(listeners, name) ?? 0)),
      ])
      keepScroll(body, table([['Table', 'wrap'], ['Changes a second', 'num'], [''], ['Changes since the start', 'num'], ['Listeners', 'num']], rows, 'No change has come and nobody listens.'))
    },
  }
}

export function listeners(root, history, ask) {
  const board = new Board(root, history)
  board.figures(
    ['Connections', 'realtime_hub_gateway_connections', count],
    ['Channels', 'realtime_hub_gateway_channels', count],
    ['Topics with members', 'realtime_hub_rooms', count],
    ['Waiting for clients', 'realtime_hub_gateway_queued_bytes', bytes],
    ['Closed as too slow', 'realtime_hub_gateway_slow_closes_total', count, null, warnAbove(0)]
  )
  const [users, topics, depths, slow] = [el('div'), el('div'), el('div'), el('div')]
  const duplicates = el('small')
  const title = panel('Channels by user and table', {}, users)
  title.querySelector('h2').append(duplicates)
  root.append(
    title,
    panel('Top topics', { size: 'half' }, topics),
    panel('What waits for connections', { size: 'half', metric: 'realtime_hub_gateway_queued_bytes' }, depths, slow)
  )
  async function read() {
    const census = await ask('channels')
    duplicates.textContent = `${joined(count(census.users_total))} users; duplicate bindings, which ask for what the same connection gets already: ${joined(count(census.duplicates))}`
    keepScroll(users, table([['User', 'wrap'], ['Role'], ['Connections', 'num'], ['Channels', 'num'], ['Tables', 'wrap'], ['Duplicates', 'num']], census.users.map(userRow), 'Nobody is connected.'))
    keepScroll(topics, table([['Topic', 'wrap'], [''], ['Channels', 'num']], census.topics.map((topic) => [topic.topic, topic.private ? 'private' : '', joined(count(topic.channels))]), 'No topic is joined.'))
    keepScroll(depths, table([['Bytes waiting'], ['Connections', 'num']], census.depths.map(depthRow), ''))
    keepScroll(slow, table([['Slowest', 'wrap'], ['Role'], ['Kind'], ['Waiting', 'num']], census.slow.map((each) => [each.subject || 'no subject', each.role, each.kind, joined(bytes(each.queued_bytes))]), 'Every client has read all it was sent.'))
  }
  return { update: () => (board.update(), read()), close: () => board.close() }
}

function userRow(user) {
  const named = user.tables.map(({ table: name, bindings, duplicates }) =>
    el('div', {}, `${name} × ${bindings}`, duplicates ? el('span', { class: 'dup' }, ` ${duplicates} duplicate${duplicates > 1 ? 's' : ''}`) : '')
  )
  return [user.subject || 'no subject', user.role, joined(count(user.connections)), joined(count(user.channels)), named.length ? el('div', {}, named) : 'none', user.duplicates ? el('span', { class: 'dup' }, String(user.duplicates)) : '0']
}

const depthRow = (depth, i, all) => {
  const from = i === 0 ? null : all[i - 1].up_to
  const text = i === 0 ? 'none' : depth.up_to === null ? `more than ${joined(bytes(from))}` : `up to ${joined(bytes(depth.up_to))}`
  return [text, joined(count(depth.connections))]
}

export function database(root, history) {
  const board = new Board(root, history)
  board.figures(
    ['Slot lag', 'realtime_hub_slot_lag_bytes', bytes],
    ['WAL kept for the slot', 'realtime_hub_slot_retained_wal_bytes', bytes],
    ['WAL until danger', 'realtime_hub_slot_safe_wal_bytes', (value) => (value === null ? ['no limit', ''] : bytes(value))],
    ['max_slot_wal_keep_size', 'realtime_hub_slot_wal_limit_bytes', (value) => (value === null ? ['not set', ''] : bytes(value))],
    ['wal_status', 'realtime_hub_slot_wal_status', (value) => [value ?? '–', ''], (h) => {
      const states = h.labels('realtime_hub_slot_wal_status')
      return Object.keys(states).find((name) => states[name] === 1) ?? null
    }, (value) => (value === 'lost' ? 'bad' : value === 'unreserved' && 'warn')],
    ['Reconnects', 'realtime_hub_reconnects_total', count],
    ['Slot asked', 'realtime_hub_slot_read', (value) => (value === null ? ['–', ''] : [joined(seconds(value)), 'ago']), age('realtime_hub_slot_read'), warnAbove(30)]
  )
  board.chart('Write-ahead log', 'realtime_hub_slot_retained_wal_bytes', bytes, (h) => [
    ['kept for the slot', h.values('realtime_hub_slot_retained_wal_bytes')],
    ['not confirmed', h.values('realtime_hub_slot_lag_bytes')],
  ])
  board.chart('The change log', 'realtime_hub_log_bytes', bytes, (h) => [
    ['kept', h.values('realtime_hub_log_bytes')],
    ['waiting for the disk', h.values('realtime_hub_log_waiting_bytes')],
  ])
  board.figures(
    ['Age of the log', 'realtime_hub_log_oldest', seconds, age('realtime_hub_log_oldest')],
    ['Changes kept', 'realtime_hub_log_changes', count],
    ['Bytes kept', 'realtime_hub_log_bytes', bytes],
    ['Waiting for the disk', 'realtime_hub_log_waiting_bytes', bytes],
    ['Syncs', 'realtime_hub_log_syncs_total', perSecond, rate('realtime_hub_log_syncs_total')],
    ['Catching up', 'realtime_hub_replaying', count],
    ['Clients that can resume', 'realtime_hub_resumable', count],
    ['Gaps told', 'realtime_hub_gateway_gaps_announced_total', count, null, warnAbove(0)]
  )
  return board
}

export function access(root, history) {
  const board = new Board(root, history)
  const metrics = {
    compiled: 'realtime_hub_policies_compiled_total',
    asked: 'realtime_hub_policies_asked_total',
    withheld: 'realtime_hub_withheld_total',
  }
  board.figures(
    ['Verdicts compiled', metrics.compiled, perSecond, rate(metrics.compiled)],
    ['Policies asked', metrics.asked, perSecond, rate(metrics.asked)],
    ['Withheld', metrics.withheld, perSecond, rate(metrics.withheld)],
    ['Asked and failed', 'realtime_hub_policies_raised_total', count, null, warnAbove(0)],
    ['Undecided', 'realtime_hub_undecided_total', count, null, warnAbove(0)],
    ['Unchecked deletes', 'realtime_hub_unchecked_deletes_total', count],
    ['Channel policies asked', 'realtime_hub_channel_policies_asked_total', count]
  )
  board.chart('Verdicts a second', metrics.compiled, perSecond, (h) => Object.entries(metrics).map(([name, metric]) => [name, h.rates(metric)]), 'wide')
  return board
}

export function errors(root, history) {
  const kinds = [
    ['Joins', 'realtime_hub_gateway_joins_total', (code) => code !== 'ok'],
    ['Bindings refused', 'realtime_hub_gateway_bindings_refused_total', () => true],
    ['Limits reached', 'realtime_hub_gateway_limits_reached_total', () => true],
    ['Handshakes refused', 'realtime_hub_gateway_handshakes_total', (status) => status !== '101'],
  ]
  const board = new Board(root, history)
  board.figures(
    ['Gaps told', 'realtime_hub_gateway_gaps_announced_total', count, null, warnAbove(0)],
    ['Closed as too slow', 'realtime_hub_gateway_slow_closes_total', count, null, warnAbove(0)],
    ['Malformed frames', 'realtime_hub_gateway_frames_malformed_total', count, null, warnAbove(0)],
    ['Slot lost', 'realtime_hub_line_breaks_total', count, null, warnAbove(0)],
    ['Log failing', 'realtime_hub_log_failing', (value) => [value ? 'yes' : 'no', ''], null, (value) => value && 'bad']
  )
  const bodies = kinds.map(([title, metric]) => {
    const body = el('div')
    root.append(panel(title, { metric, size: 'half' }, body))
    return body
  })
  return {
    close: () => board.close(),
    update() {
      board.update()
      kinds.forEach(([, metric, meant], i) => {
        const codes = Object.keys(history.labels(metric)).filter(meant)
        const rows = codes
          .sort((a, b) => history.value(metric, b) - history.value(metric, a))
          .map((code) => [el('code', {}, code), joined(count(history.value(metric, code))), joined(perSecond(history.rate(metric, code)))])
        keepScroll(bodies[i], table([['Code', 'wrap'], ['Since the start', 'num'], ['Now', 'num']], rows, 'None.'))
      })
    },
  }
}

export function audit(root, _, ask) {
  const body = el('div', {}, el('p', { class: 'empty' }, 'Asking PostgreSQL…'))
  const again = el('button', { class: 'tool', type: 'button' }, 'Ask again')
  const section = panel('Audit', { hint: 'what an operator should mend, worst first' }, body, again)
  root.append(section)
  async function read() {
    again.disabled = true
    try {
      const { findings } = await ask('audit')
      const rows = findings.map((each) => [
        el('span', { class: 'tag', 'data-level': each.level }, each.level),
        el('b', {}, each.rule),
        el('div', {}, each.text, each.detail ? el('p', { class: 'hint' }, each.detail) : '', each.remedy ? el('pre', {}, each.remedy) : ''),
      ])
      body.replaceChildren(table([['Level'], ['Rule', 'wrap'], ['Finding', 'wrap']], rows, 'Nothing was found.'))
    } catch (error) {
      body.replaceChildren(el('p', { class: 'error', role: 'alert' }, error.message))
    } finally {
      again.disabled = false
    }
  }
  again.addEventListener('click', read)
  read()
  return { update() {}, close() {} }
}

export function metrics(root, history, ask, chosen) {
  const body = el('div', {}, el('p', { class: 'empty' }, 'Reading…'))
  root.append(panel('Metrics', { hint: 'every figure of this console, as Prometheus gets it' }, body))
  const values = new Map()
  async function list() {
    const { metrics: known } = await ask('metrics')
    const rows = known.map(({ name, type, help, sample }) => {
      const value = el('span')
      values.set(name, { value, sample })
      return [
        el('a', { class: 'metric', href: `../metrics#:~:text=${encodeURIComponent(name)}`, id: `metrics/${name}` }, name),
        type,
        help,
        value,
      ]
    })
    body.replaceChildren(table([['Metric', 'wrap'], ['Type'], ['What it says', 'wrap'], ['Now', 'num']], rows, ''))
    show()
    const target = chosen ? document.getElementById(`metrics/${chosen}`) : null
    target?.closest('tr').classList.add('here')
    target?.scrollIntoView({ block: 'center' })
    target?.focus({ preventScroll: true })
  }
  function show() {
    for (const { value, sample } of values.values()) {
      const found = history.value(sample)
      value.textContent = found === null ? '–' : Number.isInteger(found) ? joined(count(found)) : String(Number(found.toPrecision(6)))
    }
  }
  list().catch((error) => body.replaceChildren(el('p', { class: 'error' }, error.message)))
  return { update: show, close() {} }
}

/** Replace what is shown without moving what the reader has scrolled to, or the focus. */
function keepScroll(holder, made) {
  const old = holder.firstElementChild
  const [left, focused] = [old?.scrollLeft ?? 0, document.activeElement === old]
  holder.replaceChildren(made)
  made.scrollLeft = left
  if (focused) made.focus({ preventScroll: true })
}
