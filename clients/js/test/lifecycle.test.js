import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allStats, createHub, getHub, RealtimeHub } from '../src/index.js'
import { CALLS, MESSAGES, connected, newId, open, table, until, write } from './stand.js'

const insert = (id) => `insert into ${CALLS} values (${id}, 'activa')`
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))

test('a table that nobody listens to loses its channel after the grace period', async (t) => {
  const { client, hub, wire } = await open(t)
  const leave = hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
  leave()
  leave()
  assert.equal(hub.isConnected(CALLS), true)
  await until(() => client.getChannels().length === 0)
  assert.equal(hub.status(CALLS), 'closed')
  assert.equal(wire.leaves.length, 1)
})

test('a page that comes back in the grace period finds its channel', async (t) => {
  const { hub, wire } = await open(t, { grace: 500 })
  for (let i = 0; i < 5; i++) {
    const leave = hub.subscribe(CALLS, '*', () => {})
    await connected(hub, CALLS)
    leave()
    await pause(20)
  }
  hub.subscribe(CALLS, '*', () => {})
  await pause(700)
  assert.equal(hub.isConnected(CALLS), true)
  assert.deepEqual([wire.joins.length, wire.leaves.length], [1, 0])
})

test('a channel is made again when somebody comes back', async (t) => {
  const { hub, wire } = await open(t)
  hub.subscribe(CALLS, '*', () => {})()
  const leave = hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
  leave()
  await until(() => hub.status(CALLS) === 'closed')
  const seen = []
  hub.subscribe(CALLS, '*', (change) => seen.push(change.new.call_id))
  await connected(hub, CALLS)
  const id = newId()
  await write(insert(id))
  await until(() => seen.includes(id))
  assert.equal(wire.joins.length, 2)
})

test('cleanup drops all, and the hub works again afterwards', async (t) => {
  const { client, hub } = await open(t)
  const seen = []
  const leave = hub.subscribe(CALLS, '*', () => seen.push('old'))
  hub.subscribe(MESSAGES, '*', () => seen.push('old'))
  await connected(hub, CALLS, MESSAGES)
  await hub.cleanup()
  assert.deepEqual([client.getChannels().length, hub.getStats().listeners], [0, 0])
  hub.subscribe(CALLS, '*', () => seen.push('new'))
  leave()
  await connected(hub, CALLS)
  await write(insert(newId()))
  await until(() => seen.length > 0)
  assert.deepEqual(seen, ['new'])
})

test('cleanup while a channel is being joined leaves nothing', async (t) => {
  const { client, hub } = await open(t)
  hub.subscribe(CALLS, '*', () => {})
  await pause(0)
  await hub.cleanup()
  await pause(200)
  assert.deepEqual([client.getChannels().length, hub.getStats().channels], [0, 0])
})

test('signing out cleans up, on whichever client the log-in is', async (t) => {
  let tell
  let followed = true
  const auth = {
    onAuthStateChange(callback) {
      tell = callback
      return { data: { subscription: { unsubscribe: () => (followed = false) } } }
    },
  }
  const { client, hub } = await open(t, { auth })
  hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
  tell('TOKEN_REFRESHED', {})
  assert.equal(hub.getStats().channels, 1)
  tell('SIGNED_OUT', null)
  await until(() => client.getChannels().length === 0)
  assert.equal(hub.getStats().listeners, 0)
  await hub.dispose()
  assert.equal(followed, false)
})

test("supabase-js's own sign-out cleans up", async (t) => {
  const { client, hub } = await open(t)
  hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
  await client.auth.signOut({ scope: 'local' })
  await until(() => client.getChannels().length === 0)
})

test('a client with a token of its own, which has no log-in, is fine too', async (t) => {
  const { hub } = await open(t, { accessToken: async () => null })
  hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
})

test('named hubs stand side by side, each on its own client', async (t) => {
  const [one, two] = [await open(t, { name: 'unused' }), await open(t, { name: 'unused' })]
  const main = createHub(one.client)
  const ui = createHub(two.client, { name: 'system-ui' })
  t.after(() => Promise.all([main.dispose(), ui.dispose()]))
  main.subscribe(CALLS, '*', () => {})
  ui.subscribe(MESSAGES, '*', () => {})
  await connected(main, CALLS)
  await connected(ui, MESSAGES)
  assert.equal(getHub(), main)
  assert.equal(getHub('system-ui'), ui)
  assert.deepEqual(
    allStats().map((each) => [each.name, each.channels]),
    [
      ['main', 1],
      ['system-ui', 1],
    ]
  )
  assert.deepEqual([main.isConnected(MESSAGES), ui.isConnected(MESSAGES)], [false, true])
  await main.cleanup()
  assert.equal(ui.isConnected(MESSAGES), true)
})

test('a name belongs to one client, until the hub is disposed of', async (t) => {
  const { client } = await open(t)
  const hub = createHub(client, { name: 'once' })
  assert.equal(createHub(client, { name: 'once' }), hub)
  const other = await open(t)
  assert.throws(() => createHub(other.client, { name: 'once' }), { code: 'NameTaken' })
  await hub.dispose()
  assert.throws(() => getHub('once'), { code: 'NoSuchHub' })
  assert.ok(createHub(other.client, { name: 'once' }) instanceof RealtimeHub)
  await getHub('once').dispose()
})

test('statistics say what was received, delivered and asked for', async (t) => {
  const { hub } = await open(t)
  for (let i = 0; i < 3; i++) hub.subscribe(CALLS, 'INSERT', () => {})
  await connected(hub, CALLS)
  await write(insert(newId()), insert(newId()))
  await until(() => table(hub, CALLS).delivered === 6)
  const { bindings, channels, joins, listeners, received, status } = table(hub, CALLS)
  assert.deepEqual(
    { bindings, channels, joins, listeners, received, status },
    { bindings: ['INSERT'], channels: 1, joins: 1, listeners: 3, received: 2, status: 'connected' }
  )
})

test('a hundred thousand comings and goings leave memory where it was', async (t) => {
  const { hub, wire } = await open(t)
  hub.subscribe(CALLS, '*', () => {})
  await connected(hub, CALLS)
  const churn = async (count) => {
    for (let i = 0; i < count; i++) {
      hub.subscribe(CALLS, 'INSERT', () => {})()
      if (i % 1_000 === 0) await pause(0)
    }
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  const before = await churn(20_000)
  const after = await churn(100_000)
  assert.ok(after < before * 1.5, `${before} bytes before, ${after} after`)
  assert.equal(hub.getStats().listeners, 1)
  assert.equal(wire.joins.length, 1)
})
