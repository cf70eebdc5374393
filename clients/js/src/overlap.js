// While a channel takes over from another, both bring the same changes: each is delivered once.

/** @typedef {import('./types.js').Listener} Listener */

/**
 * The old channel serves its listeners until the end. What the new one brings for them waits
 * here, and is delivered then unless the old one brought it too.
 *
 * Changes carry no number, so that they are compared by content, and counted: two equal ones of
 * one transaction are two.
 */
export class Overlap {
  /** @type {Map<string, number>} */
  #served = new Map()
  /** @type {[Listener, any][]} */
  #waiting = []

  /**
   * @param {Listener} listener
   * @param {any} change
   */
  served(listener, change) {
    const key = identity(listener, change)
    this.#served.set(key, (this.#served.get(key) ?? 0) + 1)
  }

  /**
   * @param {Listener} listener
   * @param {any} change
   */
  wait(listener, change) {
    this.#waiting.push([listener, change])
  }

  /** The new channel has to join once more: what it brought so far is not needed. */
  reset() {
    this.#served.clear()
    this.#waiting = []
  }

  /** What the old channel did not bring, in the new one's order. */
  take() {
    const left = this.#waiting.filter(([listener, change]) => {
      const key = identity(listener, change)
      const count = this.#served.get(key) ?? 0
      if (count > 0) this.#served.set(key, count - 1)
      return count === 0
    })
    this.reset()
    return left
  }
}

/**
 * @param {Listener} listener
 * @param {any} change
 */
function identity(listener, { eventType, commit_timestamp, new: after, old: before }) {
  return JSON.stringify([listener.id, eventType, commit_timestamp, after, before])
}
