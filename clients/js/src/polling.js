// The fallback that asks for the state while changes don't come.

const EVERY = 30_000

export class Poller {
  calls = 0
  #polling
  #report
  #running = false
  #again = false
  #looping = false
  #abort = new AbortController()
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /**
   * @param {import('./types.js').Polling} polling
   * @param {(error: unknown) => void} report
   */
  constructor(polling, report) {
    this.#polling = polling
    this.#report = report
    if (polling.when === 'always') this.down()
  }

  get active() {
    return this.#looping
  }

  /** Changes don't come: ask now, and go on asking. */
  down() {
    if (this.#looping || this.#abort.signal.aborted) return
    this.#looping = true
    void this.#run()
  }

  /** They come again: ask once more, for what came in between. */
  up() {
    if (this.#looping && this.#polling.when !== 'always') {
      this.#looping = false
      clearTimeout(this.#timer)
      void this.#run()
    }
  }

  /** Something was missed: ask once. */
  once() {
    void this.#run()
  }

  stop() {
    this.#looping = this.#again = false
    clearTimeout(this.#timer)
    this.#abort.abort()
  }

  async #run() {
    if (this.#running) {
      this.#again = true
      return
    }
    this.#running = true
    clearTimeout(this.#timer)
    do {
      this.#again = false
      this.calls++
      try {
        await this.#polling.fetch(this.#abort.signal)
      } catch (error) {
        if (!this.#abort.signal.aborted) this.#report(error)
      }
    } while (this.#again)
    this.#running = false
    if (this.#looping) this.#timer = setTimeout(() => this.#run(), this.#polling.every ?? EVERY)
  }
}
