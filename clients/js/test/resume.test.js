import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CALLS, connected, gateway, newId, open, until, write } from './stand.js'

const insert = (id) => `insert into ${CALLS} values (${id}, 'activa')`

/** A hub that has had a change, and so knows where it is. */
async function listening(t, options) {
  const opened = await open(t, options)
  const seen = []
  const gaps = []
  opened.hub.subscribe(CALLS, 'INSERT', (change) => seen.push(change.new.call_id), {
    onGap: (gap) => gaps.push(gap),
  })
  await connected(opened.hub, CALLS)
  const first = newId()
  await write(insert(first))
  await until(() => seen.includes(first))
  return { ...opened, seen, gaps, expected: [first] }
}

/** Write, and note what must come. */
async function add(expected, count) {
  const ids = Array.from({ length: count }, newId)
  await write(...ids.map(insert))
  expected.push(...ids)
}

test('after a cut the channel goes on where it was: nothing is missing, nothing comes twice', async (t) => {
  const { hub, wire, seen, gaps, expected } = await listening(t)
  for (let cut = 0; cut < 3; cut++) {
    wire.cut()
    await add(expected, 5)
    await until(() => seen.length >= expected.length)
    await connected(hub, CALLS)
  }
  await add(expected, 1)
  await until(() => seen.length >= expected.length)
  assert.deepEqual(seen, expected)
  assert.deepEqual(gaps, [])
})

test('changes of the time in which the gateway was stopped, or killed, come afterwards', async (t) => {
  const { hub, seen, gaps, expected } = await listening(t)
  for (const end of [gateway.stop, gateway.kill]) {
    await end()
    await add(expected, 5)
    await gateway.start()
    await until(() => seen.length >= expected.length)
    await connected(hub, CALLS)
  }
  assert.deepEqual(seen, expected)
  assert.deepEqual(gaps, [])
})

test('where the gateway can not go on, the gap is said with its reason', async (t) => {
  const { hub, seen, gaps } = await listening(t)
  const polls = []
  hub.subscribe(CALLS, 'INSERT', () => {}, { poll: { fetch: () => polls.push(1), every: 60_000 } })
  await gateway.forget()
  await until(() => gaps.length > 0)
  await connected(hub, CALLS)
  assert.equal(gaps[0].table, CALLS)
  assert.notEqual(gaps[0].reason, 'reconnected')
  assert.match(gaps[0].message, /^Gap: /)
  const id = newId()
  await write(insert(id))
  await until(() => seen.includes(id))
  await until(() => polls.length > 0)
})

test('channels beside the hub resume by a name of the connection', async (t) => {
  const { client, wire } = await open(t, { resume: crypto.randomUUID() })
  const seen = []
  client
    .channel('direct')
    .on('postgres_changes', { event: 'INSERT', schema: 'public', table: CALLS }, (change) =>
      seen.push(change.new.call_id)
    )
    .subscribe()
  const expected = []
  await until(() => wire.joins.length === 1)
  await until(async () => {
    await add(expected, 1)
    return seen.length > 0
  })
  wire.cut()
  const missed = []
  await add(missed, 5)
  await until(() => missed.every((id) => seen.includes(id)))
})
