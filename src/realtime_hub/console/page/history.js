// The figures of the last minutes, and what they tell: rates, and percentiles of a window.

const KEPT = 600
const RATE_WINDOW = 10
const LATENCY_WINDOW = 60
const STARTED = 'realtime_hub_started'

export class History {
  #samples = []

  get length() {
    return this.#samples.length
  }

  get last() {
    return this.#samples.at(-1)
  }

  get times() {
    return this.#samples.map((sample) => sample.at)
  }

  add(sample) {
    this.#samples.push(sample)
    if (this.#samples.length > KEPT) this.#samples.shift()
  }

  /** A moment at which nothing was told: charts show a gap there. */
  miss() {
    if (this.last?.metrics) this.add({ at: Date.now() / 1000, metrics: null })
  }

  /** The newest value; null where the metric is not shown. label: of a metric that has one. */
  value(name, label = null) {
    return read(this.newest, name, label)
  }

  get newest() {
    return this.#samples.findLast((sample) => sample.metrics) ?? null
  }

  labels(name) {
    return this.newest?.metrics[name] ?? {}
  }

  rate(name, label = null) {
    const last = this.newest
    return last === null ? null : slope(this.#before(last, RATE_WINDOW), last, name, label)
  }

  /** Aligned with `times`; null where there is no telling, as across a restart. */
  values(name, label = null) {
    return this.#samples.map((sample) => read(sample, name, label))
  }

  rates(name, label = null) {
    return this.#samples.map((sample, i) => slope(this.#samples[i - 1], sample, name, label))
  }

  /** name: of a histogram. */
  quantile(name, q, last = this.newest) {
    if (!last?.metrics) return null
    const before = this.#before(last, LATENCY_WINDOW)
    const now = last.metrics[`${name}_bucket`]
    const then = same(before, last) ? before.metrics[`${name}_bucket`] : {}
    const bounds = Object.keys(now).map((bound) => [bound === '+Inf' ? Infinity : Number(bound), now[bound] - (then[bound] ?? 0)])
    return quantile(bounds.sort((a, b) => a[0] - b[0]), q)
  }

  quantiles(name, q) {
    return this.#samples.map((sample) => this.quantile(name, q, sample))
  }

  /** The first sample of the window that ends with `last`, of the same run of the gateway. */
  #before(last, window) {
    const found = this.#samples.find(
      (sample) => sample.at >= last.at - window - 0.5 && same(sample, last)
    )
    return found === last ? null : found
  }
}

export function quantile(bounds, q) {
  const total = bounds.at(-1)?.[1] ?? 0
  if (total <= 0) return null
  const rank = q * total
  let [below, floor] = [0, 0]
  for (const [bound, count] of bounds) {
    if (count >= rank && count > below)
      return bound === Infinity ? floor : floor + ((bound - floor) * (rank - below)) / (count - below)
    below = count
    if (bound !== Infinity) floor = bound
  }
  return floor
}

function read(sample, name, label) {
  const found = sample?.metrics?.[name]
  if (found === undefined || found === null) return null
  if (label === null) return typeof found === 'number' ? found : sum(found)
  return found[label] ?? null
}

const sum = (values) => Object.values(values).reduce((a, b) => a + b, 0)

function same(a, b) {
  return Boolean(a?.metrics && b?.metrics) && a.metrics[STARTED] === b.metrics[STARTED]
}

function slope(before, after, name, label) {
  if (!same(before, after) || after.at <= before.at) return null
  // A label that is new counted from nothing.
  const [now, then] = [read(after, name, label), read(before, name, label) ?? 0]
  return now === null ? null : Math.max(0, now - then) / (after.at - before.at)
}
