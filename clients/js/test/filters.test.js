import assert from 'node:assert/strict'
import { test } from 'node:test'
import { matches, parseFilter } from '../src/filters.js'

const fits = (filter, row) => matches(parseFilter(filter), row)
const ID = '0b2d9c1e-1111-4111-8111-aaaaaaaaaaaa'

const HOLD = [
  ['call_id=eq.42', { call_id: 42 }],
  ['call_id=neq.42', { call_id: 43 }],
  ['call_id=in.(1,42)', { call_id: 42 }],
  ['call_id=not.in.(1,2)', { call_id: 42 }],
  ['monto=gte.9.5', { monto: 10 }],
  ['monto=lt.10', { monto: 9.99 }],
  ['estado=eq.activa', { estado: 'activa' }],
  ['estado=in.("en cola, sonando",activa)', { estado: 'en cola, sonando' }],
  ['estado=eq."a \\"b\\""', { estado: 'a "b"' }],
  ['estado=eq.', { estado: '' }],
  ['leido=eq.true', { leido: true }],
  ['leido=eq.f', { leido: false }],
  ['leido=is.true', { leido: true }],
  ['agente=is.null', { agente: null }],
  ['agente=not.is.null', { agente: ID }],
  [`agente=eq.${ID.toUpperCase()}`, { agente: ID }],
  ['fecha=eq.2026-01-31T12:00:00Z', { fecha: '2026-01-31T13:00:00+01:00' }],
  ['fecha=gt.2026-01-31T12:00:00Z', { fecha: '2026-01-31T12:00:00.001+00:00' }],
  ['call_id=gt.1,call_id=lt.3', { call_id: 2 }],
]

const FAIL = [
  ['call_id=eq.42', { call_id: 43 }],
  ['call_id=eq.42', {}],
  ['call_id=neq.42', {}],
  ['call_id=neq.42', { call_id: null }],
  ['call_id=not.eq.42', { call_id: null }],
  ['call_id=in.(1,2)', { call_id: 3 }],
  ['agente=is.null', {}],
  ['estado=eq.activa', { estado: 'Activa' }],
  ['leido=is.true', { leido: false }],
  ['call_id=gt.1,call_id=lt.3', { call_id: 3 }],
]

for (const [filter, row] of HOLD)
  test(`${filter} holds for ${JSON.stringify(row)}`, () => assert.equal(fits(filter, row), true))

for (const [filter, row] of FAIL)
  test(`${filter} does not hold for ${JSON.stringify(row)}`, () =>
    assert.equal(fits(filter, row), false))

for (const filter of ['a=like.x%', 'a=match.x', 'a=isdistinct.1', 'a=gt.abc', 'a=in.x', 'a', 'a=eq.1,b=like.x'])
  test(`${filter} is left to the server`, () => assert.equal(parseFilter(filter), null))

test('commas in quotes and parentheses do not end a condition', () => {
  const filter = parseFilter('a=in.("x,y",z),b=eq."1,2"')
  assert.deepEqual(
    filter.map((each) => each.values),
    [['x,y', 'z'], ['1,2']]
  )
})
