import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLS, connected, gateway, newId, open, table, until, write } from './stand.js'

const insert = (id) => `insert into ${CALLS} values (${id}, 'activa')`

test('a cut connection comes back by itself, and what may be missing is said', async (t) => {
  const { hub, wire } = await open(t)
  const seen = []
  const gaps = []
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change.new.call_id), {
    onGap: (gap) => gaps.push(gap),
  })
  await connected(hub, CALLS)
  wire.cut()
  await until(() => !hub.isConnected(CALLS))
  await connected(hub, CALLS)
  const id = newId()
  await write(insert(id))
  await until(() => seen.includes(id))
  assert.deepEqual(
    gaps.map(({ reason, schema, table }) => [reason, schema, table]),
    [['reconnected', 'public', CALLS]]
  )
})

test('while the gateway is away the state is polled, and once more when it is back', async (t) => {
  const { hub } = await open(t, { downAfter: 100 })
  const statuses = []
  let polls = 0
  hub.onStatus(({ status, polling }) => statuses.push(`${status}${polling ? ', polling' : ''}`))
  hub.subscribe(CALLS, 'INSERT', () => {}, { poll: { fetch: () => void polls++, every: 50 } })
  await connected(hub, CALLS)
  assert.equal(polls, 0)
  await gateway.stop()
  try {
    await until(() => polls >= 3)
  } finally {
    await gateway.start()
  }
  await connected(hub, CALLS)
  await until(() => statuses.length === 4)
  const back = polls
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.ok(polls - back <= 2)
  assert.deepEqual(statuses, ['connecting', 'connected', 'disconnected, polling', 'connected'])
})

test('a short absence is not reported', async (t) => {
  const { hub, wire } = await open(t, { downAfter: 10_000 })
  const statuses = []
  hub.onStatus(({ status }) => statuses.push(status))
  hub.subscribe(CALLS, 'INSERT', () => {})
  await connected(hub, CALLS)
  wire.cut()
  await until(() => !hub.isConnected(CALLS))
  await connected(hub, CALLS)
  assert.deepEqual(statuses, ['connecting', 'connected'])
})

test('channels that were open when the gateway was killed are joined again', async (t) => {
  const { hub, wire } = await open(t)
  const seen = []
  hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change.new.call_id))
  await connected(hub, CALLS)
  await gateway.kill()
  await gateway.start()
  await until(() => wire.joins.length >= 2)
  await connected(hub, CALLS)
  const id = newId()
  await write(insert(id))
  await until(() => seen.includes(id))
  assert.equal(table(hub, CALLS).channels, 1)
})

test('a cleanup while the gateway is away is done, and leaves nothing', async (t) => {
  const { client, hub } = await open(t)
  hub.subscribe(CALLS, 'INSERT', () => {}, { poll: { fetch: () => {}, every: 20 } })
  await connected(hub, CALLS)
  await gateway.stop()
  try {
    await until(() => hub.status(CALLS) === 'disconnected')
    await hub.cleanup()
    assert.deepEqual([client.getChannels().length, hub.getStats().channels], [0, 0])
  } finally {
    await gateway.start()
  }
})
