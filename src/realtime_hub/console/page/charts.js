// Live charts: one uPlot each, made anew when its series or the theme change.
import uPlot from './uplot.js'
import { bytes, el, joined } from './dom.js'

const PALETTE = ['--c1', '--c2', '--c3', '--c4', '--c5', '--c6']
const WINDOW = 300
const LEAST = 60
const HEIGHT = 190
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power)

const clock = (at) => new Date(at * 1000).toLocaleTimeString('en-GB')

export class Chart {
  #plot = null
  #shown = ''

  /** label: for those who do not see it. format: of values, as in dom.js. */
  constructor(label, format) {
    this.label = label
    this.format = format
    this.root = el('div', { class: 'chart', role: 'img', 'aria-label': label })
    this.#resize.observe(this.root)
  }

  #resize = new ResizeObserver(() => {
    const width = this.root.clientWidth
    if (this.#plot && width && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT })
  })

  /** series: [name, values aligned with times]. */
  show(times, series) {
    const width = this.root.clientWidth
    if (!width || times.length === 0) return
    const theme = getComputedStyle(document.documentElement)
    const shown = JSON.stringify([series.map(([name]) => name), theme.getPropertyValue('--c1')])
    const data = [times, ...series.map(([, values]) => values)]
    if (this.#plot === null || shown !== this.#shown) {
      this.#shown = shown
      this.#plot?.destroy()
      this.#plot = new uPlot(this.#options(series, theme, width), data, this.root)
    }
    const end = times.at(-1)
    const begin = Math.max(end - WINDOW, Math.min(times[0], end - LEAST))
    // At once, since drawing later would take the legend's values away again.
    this.#plot.batch((plot) => {
      plot.setData(data, false)
      plot.setScale('x', { min: begin, max: end })
    })
    if (this.#plot.cursor.idx === null) this.#plot.setLegend({ idx: times.length - 1 })
    const now = series.map(([name, values]) => `${name} ${joined(this.format(values.at(-1) ?? null))}`)
    this.root.setAttribute('aria-label', `${this.label}: ${now.join(', ')}`)
  }

  #options(series, theme, width) {
    const colour = (name) => theme.getPropertyValue(name).trim()
    const axis = {
      stroke: colour('--soft'),
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
    }
    const text = (value) => (value === null || value === undefined ? '–' : joined(this.format(value)))
    return {
      width,
      height: HEIGHT,
      cursor: { y: false, points: { size: 6 } },
      legend: { live: true },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [
        { ...axis, space: 70, size: 30, values: (_, splits) => splits.map(clock) },
        { ...axis, size: 72, values: (_, splits) => splits.map(text), ...(this.format === bytes ? { incrs: BINARY } : {}) },
      ],
      series: [
        { label: 'Time', value: (_, at) => (at ? clock(at) : '–') },
        ...series.map(([label], i) => ({
          label,
          stroke: colour(PALETTE[i % PALETTE.length]),
          width: 1.6,
          spanGaps: false,
          points: { show: false },
          value: (_, value) => text(value),
        })),
      ],
    }
  }

  close() {
    this.#resize.disconnect()
    this.#plot?.destroy()
  }
}
