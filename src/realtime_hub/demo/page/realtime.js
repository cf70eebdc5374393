// A channel of the Realtime protocol, version 2: frames are [join_ref, ref, topic, event, payload].
// It joins again for ever, with growing pauses; whoever uses it loads its state after each join.
const HEARTBEAT = 25_000
const PAUSES = [500, 1_000, 2_000, 5_000, 10_000]

export class Channel {
  #socket = null
  #ref = 0
  #tries = 0
  #beat = null
  #answered = true
  #retry = null

  constructor({ token, topic, bindings, onJoin, onChange, onState }) {
    Object.assign(this, { token, topic: `realtime:${topic}`, bindings, onJoin, onChange, onState })
  }

  open() {
    this.onState('waiting')
    const url = new URL('/realtime/v1/websocket', location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    url.search = new URLSearchParams({ apikey: this.token, vsn: '2.0.0' })
    const socket = (this.#socket = new WebSocket(url))
    socket.onopen = () => this.#join()
    socket.onmessage = ({ data }) => typeof data === 'string' && this.#receive(JSON.parse(data))
    socket.onclose = () => socket === this.#socket && this.#lost()
  }

  close() {
    clearInterval(this.#beat)
    clearTimeout(this.#retry)
    const socket = this.#socket
    this.#socket = null
    socket?.close()
  }

  #send(event, payload, topic = this.topic) {
    const ref = String(++this.#ref)
    const joinRef = topic === this.topic ? (this.joinRef ??= ref) : null
    this.#socket.send(JSON.stringify([joinRef, ref, topic, event, payload]))
    return ref
  }

  #join() {
    this.joinRef = undefined
    const config = { postgres_changes: this.bindings, broadcast: {}, presence: { enabled: false } }
    this.#send('phx_join', { config, access_token: this.token })
    this.#answered = true
    clearInterval(this.#beat)
    this.#beat = setInterval(() => {
      if (!this.#answered) return this.#socket.close()
      this.#answered = false
      this.#send('heartbeat', {}, 'phoenix')
    }, HEARTBEAT)
  }

  #receive([joinRef, ref, topic, event, payload]) {
    if (topic === 'phoenix') this.#answered = true
    else if (event === 'postgres_changes') this.onChange(payload.data)
    else if (event === 'phx_reply' && ref === this.joinRef) this.#joined(payload)
    else if (event === 'phx_error' || event === 'phx_close') this.#socket.close()
  }

  #joined({ status, response }) {
    if (status !== 'ok') return this.onState('lost', response.reason)
    this.#tries = 0
    this.onState('live')
    this.onJoin()
  }

  #lost() {
    clearInterval(this.#beat)
    this.onState('lost')
    this.#retry = setTimeout(() => this.open(), PAUSES[Math.min(this.#tries++, PAUSES.length - 1)])
  }
}
