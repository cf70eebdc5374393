// Drives an unmodified @supabase/supabase-js: one JSON command a line on stdin, one JSON event
// a line on stdout. The environment's WebSocket, as a browser has one, is `ws` with a tap, so that
// a test also sees what was sent.
import { createInterface } from 'node:readline'
import WebSocket from 'ws'

const tell = (event) => process.stdout.write(JSON.stringify(event, plain) + '\n')
const channels = new Map()
let client

// Bytes travel between the test and here as {"bytes": base64}.
const plain = (key, value) =>
  value instanceof ArrayBuffer || ArrayBuffer.isView(value)
    ? { bytes: Buffer.from(value).toString('base64') }
    : value
const real = (payload) =>
  typeof payload?.bytes === 'string'
    ? new Uint8Array(Buffer.from(payload.bytes, 'base64')).buffer
    : payload

class Tapped extends WebSocket {
  constructor(...args) {
    super(...args)
    this.on('message', (data, binary) => !binary && tell({ received: data.toString() }))
  }
  send(data, ...rest) {
    if (typeof data === 'string') tell({ sent: data })
    return super.send(data, ...rest)
  }
}

globalThis.WebSocket = Tapped
const { createClient } = await import('@supabase/supabase-js') // which looks for it at once

const commands = {
  connect({ url, key, token, vsn, params }) {
    const realtime = {}
    if (params) realtime.params = params
    if (vsn) realtime.vsn = vsn
    const options = { realtime, auth: { persistSession: false, autoRefreshToken: false } }
    if (token) options.accessToken = async () => token
    client = createClient(url, key, options)
  },
  subscribe({ channel: name, bindings = [], broadcast = [], presence, config }) {
    const channel = client.channel(name, config ? { config } : undefined)
    bindings.forEach((filter, binding) =>
      channel.on('postgres_changes', filter, (payload) =>
        tell({ channel: name, binding, change: payload })
      )
    )
    broadcast.forEach((event) =>
      channel.on('broadcast', { event }, (payload) => tell({ channel: name, broadcast: payload }))
    )
    if (presence)
      channel.on('presence', { event: 'sync' }, () =>
        tell({ channel: name, presence: channel.presenceState() })
      )
    channel.on('system', {}, (payload) => tell({ channel: name, system: payload }))
    channel.subscribe((status, error) =>
      tell({ channel: name, status, error: error ? String(error.message ?? error) : null })
    )
    channels.set(name, channel)
  },
  async send({ channel, event, payload }) {
    const message = { type: 'broadcast', event, payload: real(payload) }
    tell({ channel, outcome: await channels.get(channel).send(message) })
  },
  // Outside a subscription supabase-js sends over HTTP.
  async send_unsubscribed({ channel, event, payload }) {
    const message = { type: 'broadcast', event, payload }
    tell({ channel, outcome: await client.channel(channel).send(message) })
  },
  async track({ channel, payload }) {
    tell({ channel, outcome: await channels.get(channel).track(payload) })
  },
  async untrack({ channel }) {
    tell({ channel, outcome: await channels.get(channel).untrack() })
  },
  async http_send({ channel, event, payload, config }) {
    const refused = (error) => ({ success: false, error: String(error) })
    const room = client.channel(channel, config ? { config } : undefined)
    const outcome = await room.httpSend(event, real(payload)).catch(refused)
    tell({ channel, outcome })
  },
  async leave({ channel }) {
    tell({ channel, left: await client.removeChannel(channels.get(channel)) })
  },
  async set_auth({ token }) {
    await client.realtime.setAuth(token ?? undefined)
    tell({ authorized: true })
  },
  exit() {
    process.exit(0)
  },
}

// Commands of one line run in one tick, as an application's start-up code does.
createInterface({ input: process.stdin })
  .on('line', (line) => {
    for (const { do: name, ...args } of JSON.parse(line)) commands[name](args)
  })
  .on('close', () => process.exit(0))
