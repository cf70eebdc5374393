// Who is signed in, through supabase-js as it is, and the demo's own reads and writes.
import { createClient } from '@supabase/supabase-js'

/** Pauses between attempts to connect again. */
const PAUSES = [300, 700, 1_500, 3_000]

export class Refused extends Error {}

/** Counts what goes over the wire, for the figures. */
export class Wire {
  messages = 0
  joins = 0

  get transport() {
    const wire = this
    return class extends WebSocket {
      constructor(...args) {
        super(...args)
        this.addEventListener('message', ({ data }) => {
          if (typeof data === 'string' && data.includes('"postgres_changes",{"')) wire.messages++
        })
      }
      send(data) {
        if (typeof data === 'string' && data.includes('"phx_join"')) wire.joins++
        super.send(data)
      }
    }
  }
}

export class Session {
  wire = new Wire()
  user = null

  constructor({ key, users, stages }) {
    this.users = users
    this.stages = stages
    this.supabase = createClient(location.origin, key, {
      realtime: {
        transport: this.wire.transport,
        reconnectAfterMs: (tries) => PAUSES[Math.min(tries, PAUSES.length) - 1] ?? 300,
      },
      // Each window has its user: what one does, signing out say, is none of the others' affair.
      auth: { storage: sessionStorage, storageKey: windowKey(), detectSessionInUrl: false },
    })
  }

  static async open() {
    return new Session(await ask('/demo/api/config'))
  }

  /** The user that this window had before it was loaded again. */
  async resume() {
    const { data } = await this.supabase.auth.getSession()
    return this.#become(data.session?.user)
  }

  async signIn(email) {
    const { data, error } = await this.supabase.auth.signInWithPassword({ email, password: 'demo' })
    if (error) throw error
    return this.#become(data.user)
  }

  async signOut() {
    this.user = null
    await this.supabase.auth.signOut({ scope: 'local' })
  }

  nameOf(id) {
    return this.users.find((each) => each.id === id)?.nombre ?? ''
  }

  /** A read, or with a body a write, as this user. */
  async ask(path, body, signal) {
    const { data } = await this.supabase.auth.getSession()
    const token = data.session?.access_token
    return ask(`/demo/api/${path}`, {
      signal,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body && { 'Content-Type': 'application/json' }),
      },
      ...(body && { method: 'POST', body: JSON.stringify(body) }),
    })
  }

  #become(user) {
    this.user = this.users.find((each) => each.id === user?.id) ?? null
    return this.user
  }
}

async function ask(path, options) {
  const answer = await fetch(path, options)
  const said = answer.status === 204 ? null : await answer.json()
  if (!answer.ok) throw Object.assign(new Refused(said?.message ?? answer.statusText), { status: answer.status })
  return said
}

function windowKey() {
  const key = sessionStorage.getItem('window') ?? `centre-${crypto.randomUUID()}`
  sessionStorage.setItem('window', key)
  return key
}
