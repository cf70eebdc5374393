import assert from 'node:assert/strict'
import { test } from 'node:test'
import { StrictMode, createElement } from 'react'
import { act, create } from 'react-test-renderer'
import { RealtimeHubProvider, useRealtime } from '../src/react.js'
import { CALLS, MESSAGES, newId, open, until, write } from './stand.js'

globalThis.IS_REACT_ACT_ENVIRONMENT = true

function Calls({ table = CALLS, handler, ...options }) {
  return useRealtime(table, ['INSERT'], handler, options)
}

const calls = (props) => createElement(Calls, props)
const insert = (id) => write(`insert into ${CALLS} values (${id}, 'activa')`)

async function mount(t, element) {
  const opened = await open(t)
  const wrap = (child) => createElement(RealtimeHubProvider, { hub: opened.hub }, child)
  let root
  await act(() => (root = create(wrap(element))))
  t.after(() => act(() => root.unmount()))
  return {
    ...opened,
    shown: () => root.toJSON(),
    render: (child) => act(() => root.update(wrap(child))),
    /** Wait with React's updates applied, as they come. */
    until: (condition) => act(() => until(condition)),
    asked: () => opened.hub.getStats().tables.flatMap((each) => each.bindings),
  }
}

test('a component hears its table while it is mounted, and sees the status', async (t) => {
  const seen = []
  const page = await mount(t, calls({ handler: (change) => seen.push(change.new.call_id) }))
  await page.until(() => page.hub.isConnected(CALLS))
  assert.equal(page.shown(), 'connected')
  const id = newId()
  await insert(id)
  await page.until(() => seen.length > 0)
  await page.render(null)
  await page.until(() => page.client.getChannels().length === 0)
  assert.deepEqual(seen, [id])
})

test('a new handler is called without subscribing anew', async (t) => {
  const seen = []
  const page = await mount(t, calls({ handler: () => seen.push('old') }))
  await page.until(() => page.hub.isConnected(CALLS))
  await page.render(calls({ handler: () => seen.push('new') }))
  await insert(newId())
  await page.until(() => seen.length > 0)
  assert.deepEqual(seen, ['new'])
  assert.equal(page.wire.joins.length, 1)
})

test('another table or filter subscribes anew', async (t) => {
  const handler = () => {}
  const page = await mount(t, calls({ handler, filter: 'call_id=eq.1' }))
  await page.until(() => page.asked().join() === 'INSERT call_id=eq.1')
  await page.render(calls({ handler, filter: 'call_id=eq.2' }))
  await page.until(() => page.asked().join() === 'INSERT call_id=eq.2')
  await page.render(calls({ handler, table: MESSAGES }))
  await page.until(() => page.asked().join() === 'INSERT' && page.hub.isConnected(MESSAGES))
})

test('effects that run twice, as in strict mode, make one channel', async (t) => {
  const seen = []
  const two = [1, 2].map((key) => calls({ key, handler: () => seen.push(key) }))
  const page = await mount(t, createElement(StrictMode, null, two))
  await page.until(() => page.hub.isConnected(CALLS))
  await insert(newId())
  await page.until(() => seen.length === 2)
  assert.deepEqual(seen.sort(), [1, 2])
  assert.equal(page.wire.joins.length, 1)
})

test('a component that is not enabled does not listen', async (t) => {
  const page = await mount(t, calls({ handler() {}, enabled: false }))
  assert.equal(page.hub.getStats().listeners, 0)
  assert.equal(page.shown(), 'closed')
  await page.render(calls({ handler() {}, enabled: true }))
  await page.until(() => page.hub.isConnected(CALLS))
})
