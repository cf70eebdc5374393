import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFilter } from '../src/filters.js'
import { EVENTS, covers, plan, route } from '../src/plan.js'

let ids = 0
const listener = (events, filter = null) => ({
  id: ++ids,
  events: events === '*' ? EVENTS : [events].flat(),
  filter,
  conditions: filter === null ? null : parseFilter(filter),
  callback() {},
  active: true,
})
const keys = (listeners, upstream = 'narrow') => plan(listeners, upstream).map((each) => each.key)

test('only the events that somebody wants are asked for', () => {
  assert.deepEqual(keys([listener('INSERT'), listener(['INSERT', 'UPDATE'])]), ['INSERT', 'UPDATE'])
})

test('all three events are one binding', () => {
  assert.deepEqual(keys([listener('INSERT'), listener(['DELETE', 'UPDATE'])]), ['*'])
})

test('a filter is left out where somebody wants all rows, and judged here', () => {
  assert.deepEqual(keys([listener('UPDATE'), listener('UPDATE', 'call_id=eq.1')]), ['UPDATE'])
})

test('a filter that can not be judged here keeps a binding of its own', () => {
  const needed = keys([listener('UPDATE'), listener('UPDATE', 'estado=like.a%')])
  assert.deepEqual(needed, ['UPDATE', 'UPDATE estado=like.a%'])
})

test('equality filters on one column become one', () => {
  const listeners = [3, 1, 2, 2].map((id) => listener('UPDATE', `call_id=eq.${id}`))
  assert.deepEqual(keys(listeners), ['UPDATE call_id=in.(1,2,3)'])
})

test('no more members are joined than a server takes', () => {
  const listeners = Array.from({ length: 150 }, (_, i) => listener('UPDATE', `call_id=eq.${i}`))
  const bindings = plan(listeners, 'narrow')
  assert.equal(bindings.length, 2)
  assert.ok(bindings.every((each) => each.filter.split(',').length <= 100))
  assert.ok(listeners.every((each) => route(bindings, each, 'UPDATE')))
})

test('a value that needs quoting is not joined', () => {
  const listeners = ['a,b', 'c'].map((value) => listener('UPDATE', `estado=eq."${value}"`))
  assert.equal(plan(listeners, 'narrow').length, 2)
})

test('with * the server is asked for all events of all rows, once', () => {
  assert.deepEqual(keys([listener('INSERT'), listener('UPDATE', 'call_id=eq.1')], '*'), ['*'])
})

test('with * a filter that only the server can judge still goes to it', () => {
  assert.deepEqual(keys([listener('UPDATE', 'estado=like.a%')], '*'), ['UPDATE estado=like.a%'])
})

test('the plan is the same whatever the order of listeners', () => {
  const listeners = [
    listener('INSERT'),
    listener('UPDATE', 'call_id=eq.2'),
    listener('*', 'estado=like.a%'),
    listener('UPDATE', 'call_id=eq.1'),
  ]
  const expected = keys(listeners)
  for (let i = 0; i < 20; i++) {
    listeners.sort(() => Math.random() - 0.5)
    assert.deepEqual(keys(listeners), expected)
  }
})

test('any mix of listeners is served: each event by exactly one binding that brings it', () => {
  const random = seeded(7)
  const pick = (values) => values[Math.floor(random() * values.length)]
  const filters = [null, 'call_id=eq.1', 'call_id=eq.2', 'estado=eq.a', 'estado=like.a%', 'monto=gt.1']
  for (let round = 0; round < 500; round++) {
    const listeners = Array.from({ length: 1 + Math.floor(random() * 8) }, () =>
      listener(EVENTS.filter(() => random() < 0.5).concat(pick(EVENTS)), pick(filters))
    )
    for (const upstream of ['narrow', '*']) {
      const bindings = plan(listeners, upstream)
      assert.ok(covers(bindings, bindings, listeners))
      for (const each of listeners)
        for (const event of each.events) {
          const binding = route(bindings, each, event)
          assert.ok(binding, `${each.filter} ${event}: ${bindings.map((b) => b.key)}`)
          assert.ok(['*', event].includes(binding.event))
          assert.ok(each.conditions || binding.filter === each.filter)
        }
    }
  }
})

test('nothing is asked for that nobody needs', () => {
  const random = seeded(11)
  for (let round = 0; round < 200; round++) {
    const listeners = EVENTS.filter(() => random() < 0.6).map((event) => listener(event))
    const bindings = plan(listeners, 'narrow')
    const used = new Set(listeners.flatMap((each) => each.events.map((e) => route(bindings, each, e))))
    assert.equal(used.size, bindings.length)
  }
})

/** Mulberry32: the same numbers each time. */
function seeded(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
