// What the tests on a real gateway share: supabase-js as it is, and the stand's controls.
import assert from 'node:assert/strict'
import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'
import { RealtimeHub } from '../src/index.js'

export const CALLS = 'llamadas_ventas'
export const MESSAGES = 'mensajes_whatsapp'
export const PROSPECTS = 'prospectos'

/** Ask the stand that the environment names; tests share one, each with ids of its own. */
async function ask(path, body = {}) {
  const url = process.env.REALTIME_HUB_CONTROL
  assert.ok(url, 'REALTIME_HUB_CONTROL is not set: run these tests through pytest tests/clients_js')
  const answer = await fetch(url + path, { method: 'POST', body: JSON.stringify(body) })
  const said = await answer.json()
  assert.equal(answer.status, 200, said)
  return said
}

export const write = (...statements) => ask('/write', { statements })
export const token = (role, sub) => ask('/token', { role, sub })
export const gateway = {
  stop: () => ask('/stop'),
  kill: () => ask('/kill'),
  start: () => ask('/start'),
  /** Start it anew without what it has kept. */
  forget: () => ask('/forget'),
}

let last = Date.now() % 1_000_000_000
export const newId = () => ++last

/** Counts the joins and leaves that a client sends, by topic. */
export class Wire {
  joins = []
  leaves = []
  sockets = new Set()

  get transport() {
    const wire = this
    return class extends WebSocket {
      constructor(...args) {
        super(...args)
        wire.sockets.add(this)
        this.on('close', () => wire.sockets.delete(this))
      }
      send(data, ...rest) {
        if (typeof data === 'string') {
          const [, , topic, event, payload] = JSON.parse(data)
          if (event === 'phx_join') wire.joins.push({ topic, ...payload.config })
          if (event === 'phx_leave') wire.leaves.push(topic)
        }
        return super.send(data, ...rest)
      }
    }
  }

  /** The bindings of each join, without topics. */
  get bindings() {
    return this.joins.map((join) =>
      join.postgres_changes.map(({ event, filter }) => (filter ? `${event} ${filter}` : event))
    )
  }

  /** As a cable does that is pulled. */
  cut() {
    for (const socket of this.sockets) socket.terminate()
  }
}

/** A client and a hub on it; both are gone when the test ends. */
export async function open(t, { key, accessToken, resume, ...options } = {}) {
  const wire = new Wire()
  const errors = []
  const client = createClient(await ask('/url'), key ?? (await token('anon')), {
    realtime: {
      transport: wire.transport,
      reconnectAfterMs: () => 100,
      ...(resume && { params: { resume } }),
    },
    auth: { persistSession: false, autoRefreshToken: false },
    ...(accessToken && { accessToken }),
  })
  const hub = new RealtimeHub(client, {
    grace: 50,
    downAfter: 50,
    overlap: 100,
    onError: (error, context) => errors.push({ error, context }),
    ...options,
  })
  t.after(async () => {
    await hub.dispose()
    await client.realtime.disconnect()
  })
  return { client, hub, wire, errors }
}

export async function until(condition, what = condition.toString()) {
  const deadline = Date.now() + 20_000
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `waited for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const connected = (hub, ...tables) =>
  until(() => tables.every((table) => hub.isConnected(table)), `${tables} connected`)

/** What one table's statistics say. */
export const table = (hub, name) => hub.getStats().tables.find((each) => each.table === name)
