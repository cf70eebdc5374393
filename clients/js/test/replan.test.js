import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLS, connected, newId, open, table, until, write } from './stand.js'

const insert = (id) => `insert into ${CALLS} values (${id}, 'activa')`

test('a listener that is served already makes no new channel', async (t) => {
  const { hub, wire } = await open(t)
  hub.subscribe(CALLS, ['INSERT', 'UPDATE'], () => {})
  await connected(hub, CALLS)
  const leave = hub.subscribe(CALLS, 'UPDATE', () => {}, { filter: 'call_id=eq.1' })
  hub.subscribe(CALLS, 'INSERT', () => {})
  leave()
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(wire.joins.length, 1)
})

test('more events widen the channel: nothing is missed meanwhile, and nothing comes twice', async (t) => {
  const { hub, wire } = await open(t)
  const seen = []
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change.new.call_id))
  await connected(hub, CALLS)
  const ids = []
  let writing = true
  const writer = (async () => {
    while (writing) {
      ids.push(newId())
      await write(insert(ids.at(-1)))
    }
  })()
  const updates = []
  for (const event of ['UPDATE', 'DELETE']) {
    hub.subscribe(CALLS, event, (change) => updates.push(change.eventType))
    await until(() => table(hub, CALLS).channels === 2)
    await until(() => table(hub, CALLS).channels === 1)
  }
  writing = false
  await writer
  await until(() => seen.length >= ids.length)
  await write(`update ${CALLS} set estado = 'fin' where call_id = ${ids[0]}`)
  await until(() => updates.length === 1)
  assert.deepEqual(seen, ids)
  assert.deepEqual(wire.bindings, [['INSERT'], ['INSERT', 'UPDATE'], ['*']])
  assert.equal(wire.leaves.length, 2)
})

test('a new listener is served while the channels change', async (t) => {
  const { hub } = await open(t, { overlap: 2_000 })
  const seen = []
  hub.subscribe(CALLS, 'INSERT', () => {})
  await connected(hub, CALLS)
  hub.subscribe(CALLS, 'UPDATE', (change) => seen.push(change.new.call_id))
  const id = newId()
  await write(insert(id))
  await until(async () => {
    await write(`update ${CALLS} set estado = 'x' where call_id = ${id}`)
    return seen.length > 0
  })
  assert.equal(table(hub, CALLS).channels, 2)
})

test('what is no longer needed is given back after a moment', async (t) => {
  const { hub, wire } = await open(t)
  hub.subscribe(CALLS, 'INSERT', () => {})
  const leave = hub.subscribe(CALLS, ['UPDATE', 'DELETE'], () => {})
  await connected(hub, CALLS)
  leave()
  await until(() => table(hub, CALLS).bindings.join() === 'INSERT')
  assert.deepEqual(wire.bindings, [['*'], ['INSERT']])
})

test('any coming and going of listeners is served exactly', async (t) => {
  const { hub } = await open(t, { grace: 20, overlap: 30 })
  const always = []
  hub.subscribe(CALLS, 'INSERT', (change) => always.push(change.new.call_id))
  await connected(hub, CALLS)
  const ids = []
  const leaves = []
  const filters = ['estado=eq.activa', 'estado=like.act%', 'monto=is.null', undefined]
  for (let i = 0; i < 60; i++) {
    ids.push(newId())
    if (i % 3 === 2) leaves.splice(i % leaves.length, 1)[0]()
    else {
      const filter = filters[i % filters.length]
      leaves.push(hub.subscribe(CALLS, ['INSERT', 'UPDATE', '*'][i % 3], () => {}, { filter }))
    }
    await write(insert(ids.at(-1)))
  }
  await until(() => always.length >= ids.length)
  assert.deepEqual(always, ids)
})
