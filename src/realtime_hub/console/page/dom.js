// Elements from plain values. Text from outside becomes text nodes, never markup.

export const $ = (id) => document.getElementById(id)

/** An element; attributes that are null or false are left out. */
export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== false) made.setAttribute(key, value === true ? '' : value)
  made.append(...children.flat().filter((child) => child !== null && child !== undefined))
  return made
}

export function table(heads, rows, empty) {
  if (rows.length === 0) return el('p', { class: 'empty' }, empty)
  const head = heads.map(([text, kind]) => el('th', { scope: 'col', class: kind ?? null }, text))
  const body = rows.map((cells) =>
    el('tr', {}, cells.map((cell, i) => el('td', { class: heads[i][1] ?? null }, cell ?? '–')))
  )
  return el(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': heads.map(([text]) => text).join(', ') },
    el('table', {}, el('thead', {}, el('tr', {}, head)), el('tbody', {}, body))
  )
}

export function panel(title, { metric = null, size = null, hint = null } = {}, ...content) {
  return el(
    'section',
    { class: `panel ${size ?? ''}` },
    el('h2', {}, title, hint && el('small', {}, hint), metric && metricLink(metric)),
    ...content
  )
}

/** To the entry that says what the metric means. */
export const metricLink = (name) =>
  el('a', { class: 'metric', href: `#metrics/${name}`, title: name }, name.replace('realtime_hub_', ''))

export function announce(text) {
  $('announcer').textContent = text
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 })
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** A number with its unit apart, as [text, unit]. */
export const count = (value) => [value === null ? '–' : whole.format(value), '']
export const perSecond = (value) =>
  [value === null ? '–' : value >= 100 ? whole.format(value) : fine.format(value), '/s']

export function bytes(value) {
  if (value === null) return ['–', '']
  let unit = 0
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1]
  return [fine.format(value), UNITS[unit]]
}

export function seconds(value) {
  if (value === null) return ['–', '']
  if (value < 1) return [fine.format(value * 1000), 'ms']
  if (value < 120) return [fine.format(value), 's']
  if (value < 7200) return [fine.format(value / 60), 'min']
  return value < 172800 ? [fine.format(value / 3600), 'h'] : [fine.format(value / 86400), 'days']
}

export const joined = ([text, unit]) => (unit ? `${text} ${unit}` : text).replace(' /s', '/s')
