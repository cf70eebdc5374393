import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HubError } from '../src/index.js'
import { CALLS, MESSAGES, PROSPECTS, connected, newId, open, table, token, until, write } from './stand.js'

const insert = (id, state = 'activa') => `insert into ${CALLS} values (${id}, '${state}')`

test('many listeners share one channel, and each gets its events', async (t) => {
  const { hub, wire } = await open(t)
  const seen = { all: [], inserts: [], changes: [] }
  hub.subscribe(CALLS, '*', (change) => seen.all.push(change.eventType))
  hub.subscribe(CALLS, 'INSERT', (change) => seen.inserts.push(change.eventType))
  hub.subscribe(CALLS, ['UPDATE', 'DELETE'], (change) => seen.changes.push(change.eventType))
  await connected(hub, CALLS)
  const id = newId()
  await write(insert(id), `update ${CALLS} set estado = 'x' where call_id = ${id}`, `delete from ${CALLS} where call_id = ${id}`)
  await until(() => seen.all.length === 3)
  assert.deepEqual(seen, {
    all: ['INSERT', 'UPDATE', 'DELETE'],
    inserts: ['INSERT'],
    changes: ['UPDATE', 'DELETE'],
  })
  assert.deepEqual(wire.bindings, [['*']])
})

test('the payload is what supabase-js gives, the same object for all', async (t) => {
  const { client, hub } = await open(t)
  const seen = []
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change))
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change))
  await connected(hub, CALLS)
  const direct = new Promise((resolve) =>
    client
      .channel('direct')
      .on('postgres_changes', { event: 'INSERT', schema: 'public', table: CALLS }, resolve)
      .subscribe(async (status) => status === 'SUBSCRIBED' && write(insert(newId())))
  )
  const expected = await direct
  await until(() => seen.length === 2)
  assert.equal(seen[0], seen[1])
  assert.deepEqual(seen[0], expected)
})

test('each table has one channel, and asks for no more than is needed', async (t) => {
  const { hub, wire } = await open(t)
  const nothing = () => {}
  for (const event of ['INSERT', 'UPDATE', 'INSERT', 'UPDATE']) hub.subscribe(CALLS, event, nothing)
  for (let i = 0; i < 4; i++) hub.subscribe(MESSAGES, 'INSERT', nothing)
  for (let i = 0; i < 4; i++) hub.subscribe(PROSPECTS, 'UPDATE', nothing)
  await connected(hub, CALLS, MESSAGES, PROSPECTS)
  assert.deepEqual(wire.bindings, [['INSERT', 'UPDATE'], ['INSERT'], ['UPDATE']])
  const stats = hub.getStats()
  assert.deepEqual([stats.channels, stats.listeners], [3, 12])
})

test('with upstream * the channel listens to all, as the hub sorts out', async (t) => {
  const { hub, wire } = await open(t, { upstream: '*' })
  const seen = []
  const id = newId()
  hub.subscribe(CALLS, 'UPDATE', (change) => seen.push(change.new.estado), { filter: `call_id=eq.${id}` })
  await connected(hub, CALLS)
  await write(insert(id), insert(newId()), `update ${CALLS} set estado = 'cerrada'`)
  await until(() => seen.length === 1)
  assert.deepEqual(wire.bindings, [['*']])
  assert.deepEqual(seen, ['cerrada'])
})

test('a filter holds whoever judges it', async (t) => {
  const { hub, wire } = await open(t)
  const seen = { mine: [], other: [], like: [] }
  const [a, b] = [newId(), newId()]
  hub.subscribe(CALLS, 'UPDATE', (c) => seen.mine.push(c.new.call_id), { filter: `call_id=eq.${a}` })
  hub.subscribe(CALLS, 'UPDATE', (c) => seen.other.push(c.new.call_id), { filter: `call_id=eq.${b}` })
  hub.subscribe(CALLS, '*', (c) => seen.like.push(c.new.call_id), { filter: 'estado=like.z%' })
  await connected(hub, CALLS)
  await write(insert(a), insert(b), `update ${CALLS} set estado = 'zz' where call_id in (${a}, ${b})`)
  await until(() => seen.like.length === 2)
  assert.deepEqual(seen, { mine: [a], other: [b], like: [a, b] })
  assert.deepEqual(wire.bindings, [['* estado=like.z%', `UPDATE call_id=in.(${a},${b})`]])
})

test('a listener that has left is not called, even if it leaves while being called', async (t) => {
  const { hub } = await open(t)
  const seen = []
  const leave = []
  for (const name of ['first', 'second', 'third'])
    leave.push(
      hub.subscribe(CALLS, 'INSERT', () => {
        seen.push(name)
        leave.forEach((each) => each())
      })
    )
  hub.subscribe(CALLS, 'INSERT', () => seen.push('stays'))
  await connected(hub, CALLS)
  await write(insert(newId()), insert(newId()))
  await until(() => seen.length === 3)
  assert.deepEqual(seen, ['first', 'stays', 'stays'])
  assert.equal(hub.getStats().listeners, 1)
})

test('one that raises harms nobody, and is told of with its change', async (t) => {
  const { hub, errors } = await open(t)
  const seen = []
  hub.subscribe(CALLS, 'INSERT', () => {
    throw new Error('plain')
  })
  hub.subscribe(CALLS, 'INSERT', () => Promise.reject(new Error('later')))
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change))
  await connected(hub, CALLS)
  await write(insert(newId()))
  await until(() => errors.length === 2)
  assert.deepEqual(errors.map((each) => each.error.message).sort(), ['later', 'plain'])
  assert.ok(errors.every(({ context }) => context.where === 'callback' && context.change === seen[0]))
  assert.equal(table(hub, CALLS).errors, 2)
})

test('another schema is another table', async (t) => {
  const { hub } = await open(t)
  hub.subscribe(CALLS, '*', () => {}, { schema: 'public' })
  await connected(hub, CALLS)
  assert.equal(hub.isConnected(CALLS), true)
  assert.equal(hub.isConnected(CALLS, { schema: 'ventas' }), false)
})

test('rows under row-level security reach their owner alone', async (t) => {
  const owner = '11111111-1111-4111-8111-111111111111'
  const other = '22222222-2222-4222-8222-222222222222'
  const seen = {}
  for (const sub of [owner, other]) {
    const user = await token('authenticated', sub)
    const { hub } = await open(t, { accessToken: async () => user })
    seen[sub] = []
    hub.subscribe('notas', '*', (change) => seen[sub].push(change.new.id))
    await connected(hub, 'notas')
  }
  const [first, second] = [newId(), newId()]
  await write(
    `insert into notas values (${first}, '${owner}', '')`,
    `insert into notas values (${second}, '${other}', '')`
  )
  await until(() => seen[owner].length && seen[other].length)
  assert.deepEqual(seen, { [owner]: [first], [other]: [second] })
})

test('a table that is not published is refused at once, and polled instead', async (t) => {
  const { hub, errors } = await open(t)
  const statuses = []
  let polls = 0
  hub.onStatus((change) => statuses.push(change))
  hub.subscribe('uchat_messages', 'INSERT', () => {}, { poll: { fetch: () => polls++, every: 60_000 } })
  await until(() => polls > 0)
  assert.equal(hub.isConnected('uchat_messages'), false)
  assert.equal(hub.status('uchat_messages'), 'refused')
  assert.match(statuses.at(-1).error, /uchat_messages/)
  assert.equal(statuses.at(-1).polling, true)
  assert.ok(errors[0].error instanceof HubError)
  assert.equal(errors[0].error.code, 'Refused')
})

test('a filter that the server refuses harms no listener but its own', async (t) => {
  const { hub, errors } = await open(t)
  const seen = []
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change.new.call_id))
  hub.subscribe(CALLS, 'UPDATE', () => {}, { filter: 'no_such_column=eq.1' })
  await connected(hub, CALLS)
  const id = newId()
  await write(insert(id))
  await until(() => seen.includes(id))
  assert.equal(hub.status(CALLS), 'connected')
  assert.match(errors[0].error.message, /no_such_column/)
})

test('what can not be meant is refused where it is said', async (t) => {
  const { hub } = await open(t)
  const code = (call) => {
    try {
      call()
    } catch (error) {
      assert.ok(error instanceof HubError)
      return error.code
    }
  }
  const nothing = () => {}
  assert.equal(code(() => hub.subscribe('', '*', nothing)), 'InvalidTable')
  assert.equal(code(() => hub.subscribe('*', '*', nothing)), 'InvalidTable')
  assert.equal(code(() => hub.subscribe(CALLS, 'TRUNCATE', nothing)), 'InvalidEvents')
  assert.equal(code(() => hub.subscribe(CALLS, [], nothing)), 'InvalidEvents')
  assert.equal(code(() => hub.subscribe(CALLS, '*', null)), 'InvalidCallback')
  assert.equal(code(() => hub.subscribe(CALLS, '*', nothing, { filter: 'call_id' })), 'InvalidFilter')
  assert.equal(hub.getStats().channels, 0)
})
