// Elements from data. Text stays text: nothing here reads markup.

export const $ = (id) => document.getElementById(id)

/** An element with properties and children; `class`, `data-*` and `aria-*` are attributes. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== null && child !== undefined))
  return element
}

/** Set a text only if it differs, so that the page is not laid out for nothing. */
export function say(element, text) {
  const next = String(text ?? '')
  if (element.textContent !== next) element.textContent = next
}

/** The parts of an element that `data-part` names. */
export function parts(element) {
  const found = {}
  for (const each of element.querySelectorAll('[data-part]')) found[each.dataset.part] = each
  return found
}

const known = new WeakMap()

/**
 * Make a list show these items: elements are kept by key, so that focus and scrolling stay.
 *
 * `create(item)` makes an element, `update(parts, item, element)` fills it; what left goes.
 */
export function keyed(parent, items, keyOf, create, update) {
  const before = known.get(parent) ?? new Map()
  const after = new Map()
  const focused = parent.contains(document.activeElement) ? document.activeElement : null
  let place = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    let entry = before.get(key)
    if (!entry) {
      const element = create(item)
      entry = { element, parts: parts(element) }
    }
    before.delete(key)
    after.set(key, entry)
    update(entry.parts, item, entry.element)
    if (entry.element === place) place = place.nextElementSibling
    else parent.insertBefore(entry.element, place)
  }
  for (const { element } of before.values()) element.remove()
  known.set(parent, after)
  // An element that is moved loses the focus.
  if (focused && focused !== document.activeElement && parent.contains(focused))
    focused.focus({ preventScroll: true })
}

// What moves between a press and its release takes the click away from what was pressed. A release
// may never be told (after a scrollbar's), so that a press counts for a while only.
const PRESS = 2_000
let pressed = -Infinity
addEventListener('pointerdown', () => (pressed = performance.now()), true)
for (const over of ['pointerup', 'pointercancel']) addEventListener(over, () => (pressed = -Infinity), true)

/** Draw once a frame, however often it is asked for, and not while something is pressed. */
export function frame(draw) {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    const run = () => {
      if (performance.now() - pressed < PRESS) {
        requestAnimationFrame(run)
        return
      }
      asked = false
      draw()
    }
    // A hidden page has no frames: it is drawn a little later.
    if (document.hidden) setTimeout(run, 250)
    else requestAnimationFrame(run)
  }
}

/** For screen readers: what is worth interrupting for, and not more often than they can follow. */
let lastSaid = 0
export function announce(text) {
  const now = Date.now()
  if (now - lastSaid < 4_000) return
  lastSaid = now
  say($('announcer'), text)
}

export function clock(since, until = Date.now()) {
  const seconds = Math.max(0, Math.floor((until - Date.parse(since)) / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

const MINUTES = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
const TIME = new Intl.DateTimeFormat(undefined, MINUTES)
const SECONDS = new Intl.DateTimeFormat(undefined, { ...MINUTES, second: '2-digit' })
const DAY = new Intl.DateTimeFormat(undefined, { weekday: 'short', ...MINUTES })
export const timeOf = (moment) => TIME.format(new Date(moment))
export const secondOf = (moment) => SECONDS.format(new Date(moment))
export const dayOf = (moment) => DAY.format(new Date(moment))
