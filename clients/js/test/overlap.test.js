import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Overlap } from '../src/overlap.js'

const listener = { id: 1 }
const change = (id, at = '2026-01-01T00:00:00.000Z') => ({
  eventType: 'UPDATE',
  commit_timestamp: at,
  new: { id },
  old: { id },
})

test('what both channels brought is left out, and the rest keeps its order', () => {
  const overlap = new Overlap()
  overlap.served(listener, change(1))
  for (const id of [3, 1, 2]) overlap.wait(listener, change(id))
  assert.deepEqual(
    overlap.take().map(([, each]) => each.new.id),
    [3, 2]
  )
})

test('two equal changes of one transaction are two', () => {
  const overlap = new Overlap()
  overlap.served(listener, change(1))
  overlap.wait(listener, change(1))
  overlap.wait(listener, change(1))
  assert.equal(overlap.take().length, 1)
})

test('what one listener got says nothing of another', () => {
  const overlap = new Overlap()
  overlap.served({ id: 2 }, change(1))
  overlap.wait(listener, change(1))
  assert.equal(overlap.take().length, 1)
})

test('nothing is kept afterwards', () => {
  const overlap = new Overlap()
  overlap.served(listener, change(1))
  overlap.take()
  overlap.wait(listener, change(1))
  assert.equal(overlap.take().length, 1)
})
