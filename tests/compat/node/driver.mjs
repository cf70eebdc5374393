// Drives an unmodified @supabase/supabase-js: one JSON command a line on stdin, one JSON event
// a line on stdout. The transport is `ws` with a tap, so that a test also sees what was sent.
import { createInterface } from 'node:readline'
import { createClient } from '@supabase/supabase-js'
import WebSocket from 'ws'

const tell = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const channels = new Map()
let client

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

const commands = {
  connect({ url, key, token, vsn }) {
    const realtime = { transport: Tapped }
    if (vsn) realtime.vsn = vsn
    const options = { realtime, auth: { persistSession: false, autoRefreshToken: false } }
    if (token) options.accessToken = async () => token
    client = createClient(url, key, options)
  },
  subscribe({ channel: name, bindings = [], broadcast = [], config }) {
    const channel = client.channel(name, config ? { config } : undefined)
    bindings.forEach((filter, binding) =>
      channel.on('postgres_changes', filter, (payload) =>
        tell({ channel: name, binding, change: payload })
      )
    )
    broadcast.forEach((event) =>
      channel.on('broadcast', { event }, (payload) => tell({ channel: name, broadcast: payload }))
    )
    channel.on('system', {}, (payload) => tell({ channel: name, system: payload }))
    channel.subscribe((status, error) =>
      tell({ channel: name, status, error: error ? String(error.message ?? error) : null })
    )
    channels.set(name, channel)
  },
  async send({ channel, event, payload }) {
    tell({ channel, outcome: await channels.get(channel).send({ type: 'broadcast', event, payload }) })
  },
  async http_send({ channel, event, payload }) {
    const refused = (error) => ({ success: false, error: String(error) })
    const outcome = await client.channel(channel).httpSend(event, payload).catch(refused)
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
