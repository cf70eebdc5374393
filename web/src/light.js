// The connection light: are changes coming, and if not, what stands in?
import { $, announce, say } from './dom.js'

const WORDS = {
  live: ['Live', ''],
  connecting: ['Connecting', ''],
  polling: ['Polling', 'every 3 s; the gateway is away'],
  lost: ['Reconnecting', ''],
  refused: ['Not published', ''],
}

export class Light {
  #state = 'connecting'

  /** back: called when changes come (again), so that what was missed is read. */
  constructor({ live, back }) {
    this.live = live
    this.back = back
    live.onStatus(() => this.show())
  }

  show() {
    const state = this.#judge()
    if (state === this.#state) return
    this.#state = state
    const [word, more] = WORDS[state]
    $('light').dataset.state = state
    say($('light-word'), word)
    say($('light-more'), more)
    if (state === 'live') this.back()
    if (state === 'polling') announce('The gateway is away; the page polls.')
  }

  #judge() {
    const { statuses, polling } = this.live.figures
    if (polling) return 'polling'
    if (statuses.includes('disconnected')) return 'lost'
    if (statuses.includes('refused')) return 'refused'
    return statuses.length > 0 && statuses.every((each) => each === 'connected') ? 'live' : 'connecting'
  }
}
