import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Poller } from '../src/polling.js'

function polling(t, options = {}) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const errors = []
  const calls = []
  const poller = new Poller(
    { every: 1_000, fetch: (signal) => void calls.push(signal), ...options },
    (error) => errors.push(error)
  )
  t.after(() => poller.stop())
  return { poller, calls, errors }
}

test('nothing is asked while changes come', async (t) => {
  const { calls } = polling(t)
  t.mock.timers.tick(10_000)
  assert.equal(calls.length, 0)
})

test('it asks at once when they stop coming, then at its pace, and once more when they are back', async (t) => {
  const { poller, calls } = polling(t)
  poller.down()
  await turn()
  assert.equal(calls.length, 1)
  t.mock.timers.tick(1_000)
  await turn()
  assert.equal(calls.length, 2)
  poller.up()
  await turn()
  assert.equal(calls.length, 3)
  t.mock.timers.tick(10_000)
  await turn()
  assert.equal(calls.length, 3)
})

test('with `always` it goes on all the time', async (t) => {
  const { poller, calls } = polling(t, { when: 'always' })
  poller.up()
  for (let i = 0; i < 3; i++) {
    await turn()
    t.mock.timers.tick(1_000)
  }
  await turn()
  assert.equal(calls.length, 4)
})

test('calls do not overlap; what is asked meanwhile is asked once afterwards', async (t) => {
  let finish
  let running = 0
  let most = 0
  let calls = 0
  const { poller } = polling(t, {
    async fetch() {
      calls++
      most = Math.max(most, ++running)
      await new Promise((resolve) => (finish = resolve))
      running--
    },
  })
  poller.once()
  poller.once()
  poller.once()
  await turn()
  finish()
  await turn()
  finish()
  await turn()
  assert.deepEqual([calls, most, running], [2, 1, 0])
})

test('one that raises is told of, and the next comes all the same', async (t) => {
  const { poller, errors } = polling(t, { fetch: () => Promise.reject(new Error('offline')) })
  poller.down()
  await turn()
  t.mock.timers.tick(1_000)
  await turn()
  assert.deepEqual(
    errors.map((error) => error.message),
    ['offline', 'offline']
  )
})

test('stopped, it asks no more and says so to the one that is running', async (t) => {
  const { poller, calls } = polling(t)
  poller.down()
  await turn()
  poller.stop()
  t.mock.timers.tick(10_000)
  await turn()
  assert.equal(calls.length, 1)
  assert.equal(calls[0].aborted, true)
})
