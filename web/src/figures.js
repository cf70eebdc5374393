// Before and after, in numbers: what this page costs, and what the database spends.
import uPlot from 'uplot'
import { $, say } from './dom.js'

const WINDOW = 120
const AVERAGE = 10
const HINTS = {
  direct: 'Each component has channels of its own: the server looks at every change once for each.',
  hub: 'One channel per table, shared by all components, for the events they need.',
}
const COLUMNS = ['channels', 'joins', 'messages', 'checks']

export class Figures {
  #samples = []
  #since = performance.now()
  #joins = 0
  #charts = null

  constructor({ live, session }) {
    Object.assign(this, { live, session })
    for (const radio of document.querySelectorAll('input[name=mode]'))
      radio.addEventListener('change', () => this.#switch(radio.value))
    this.#mark()
  }

  start() {
    this.#begin()
    this.#charts ??= [
      chart($('chart-messages'), [{ stroke: 'accent', fill: 'accent' }]),
      chart($('chart-cpu'), [{ stroke: 'accent', fill: 'accent' }, { stroke: 'soft' }]),
    ]
    clearInterval(this.timer)
    this.timer = setInterval(() => this.#sample(), 1_000)
  }

  stop() {
    clearInterval(this.timer)
    this.#samples = []
  }

  /** Colours are the style sheet's: they change with light and dark. */
  recolour() {
    this.#charts?.forEach((each) => each.recolour())
  }

  async #switch(mode) {
    this.#begin()
    await this.live.use(mode)
    this.#mark()
  }

  #begin() {
    this.#since = performance.now()
    this.#joins = this.session.wire.joins
  }

  #mark() {
    say($('mode-hint'), HINTS[this.live.mode])
    for (const row of document.querySelectorAll('.compare tbody tr'))
      row.toggleAttribute('data-current', row.dataset.mode === this.live.mode)
  }

  async #sample() {
    const { channels, bindings } = this.live.figures
    const changes = { ...this.live.changes }
    const before = this.#samples.at(-1)
    // Bindings may change any moment: what they cost is added up as it happens.
    const checks = Object.entries(bindings).reduce(
      (total, [table, count]) => total + count * ((changes[table] ?? 0) - (before?.changes[table] ?? 0)),
      before?.checks ?? 0
    )
    const sample = { at: performance.now(), changes, checks, messages: this.session.wire.messages, database: null }
    this.#samples.push(sample)
    if (this.#samples.length > WINDOW) this.#samples.shift()
    try {
      sample.database = (await this.session.ask('figures')).database
    } catch {
      // Signed out, or the demo has ended: the next one will tell.
    }
    if (this.#samples.at(-1) === sample) this.#show(channels)
  }

  #show(channels) {
    const last = this.#samples.at(-1)
    const first = this.#samples.find((each) => each.at >= Math.max(this.#since, last.at - AVERAGE * 1_000)) ?? last
    const minutes = (last.at - first.at) / 60_000
    const perMinute = (name) => (minutes > 0 ? Math.round((last[name] - first[name]) / minutes) : undefined)
    const shown = {
      channels,
      joins: this.session.wire.joins - this.#joins,
      messages: perMinute('messages'),
      checks: perMinute('checks'),
    }
    const row = document.querySelector(`.compare tr[data-mode=${this.live.mode}]`)
    COLUMNS.forEach((name, i) => say(row.cells[i + 1], shown[name] ?? '–'))
    const [figure, more] = row.cells[COLUMNS.length + 1].children
    const [cpu, part] = share(first.database, last.database)
    say(figure, cpu)
    say(more, part)
    this.#plot()
  }

  #plot() {
    const samples = this.#samples
    const ages = samples.map((each) => (each.at - samples.at(-1).at) / 1_000)
    const rate = (value) => samples.map((each, i) => (i ? value(samples[i - 1], each) : null))
    const seconds = (a, b) => (b.at - a.at) / 1_000
    const messages = rate((a, b) => (b.messages - a.messages) / seconds(a, b))
    const cpu = (name) => rate((a, b) => percent(a.database, b.database, name))
    this.#charts[0].show([ages, smooth(messages)])
    this.#charts[1].show([ages, smooth(cpu('realtime')), smooth(cpu('other'))])
    const now = messages.at(-1)
    $('chart-messages').setAttribute('aria-label', `Messages a second, last two minutes; now ${Math.round(now ?? 0)}`)
  }
}

/** The CPU time between two readings, in percent of a core. */
function percent(a, b, name) {
  if (!a || !b || b.at <= a.at) return null
  return (100 * (b[name] - a[name])) / (b.at - a.at)
}

function share(a, b) {
  const realtime = percent(a, b, 'realtime')
  if (realtime === null) return ['–', b === null ? 'not measured here' : '']
  const whole = realtime + percent(a, b, 'other')
  const part = whole > 0 ? `, ${Math.round((100 * realtime) / whole)} % of its work` : ''
  return [`${realtime.toFixed(1)} %`, `of a core${part}`]
}

/** The mean of five seconds: CPU time comes in ticks of 10 ms. */
function smooth(values) {
  return values.map((_, i) => {
    const near = values.slice(Math.max(0, i - 4), i + 1).filter((value) => value !== null)
    return near.length ? near.reduce((a, b) => a + b) / near.length : null
  })
}

function chart(element, series) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
  const axis = { stroke: () => colour('soft'), grid: { stroke: () => colour('line'), width: 1 }, ticks: { show: false }, font: '11px system-ui', gap: 2 }
  const size = () => ({ width: Math.max(160, element.clientWidth), height: 96 })
  const plot = new uPlot(
    {
      ...size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [6, 14, 0, 0],
      scales: { x: { time: false, range: [-WINDOW, 0] }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.15)] } },
      axes: [
        { ...axis, size: 18, values: (_, splits) => splits.map((at) => (at ? `${at} s` : 'now')), grid: { show: false } },
        { ...axis, size: 34, values: (_, splits) => splits.map((value) => (value >= 10 ? Math.round(value) : value.toFixed(1).replace(/\.0$/, ''))) },
      ],
      series: [
        {},
        ...series.map(({ stroke, fill }) => ({
          stroke: () => colour(stroke),
          ...(fill && { fill: () => `color-mix(in srgb, ${colour(fill)} 18%, transparent)` }),
          width: 1.5,
          points: { show: false },
        })),
      ],
    },
    [[0], ...series.map(() => [null])],
    element
  )
  new ResizeObserver(() => plot.setSize(size())).observe(element)
  return { show: (data) => plot.setData(data), recolour: () => plot.redraw(false, true) }
}
