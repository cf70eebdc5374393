// Soft sounds, made here, which can be muted.
const TONES = { ring: [660, 880], new: [523, 659], message: [784] }
const PAUSE = 1_500

export class Sound {
  #context = null
  #last = 0

  constructor(button) {
    this.on = localStorage.getItem('sound') !== 'off'
    this.button = button
    button.addEventListener('click', () => this.#toggle())
    this.#show()
  }

  /** One at a time, and only after somebody has used the page: browsers want it so. */
  play(kind) {
    const now = Date.now()
    if (!this.on || now - this.#last < PAUSE || !navigator.userActivation?.hasBeenActive) return
    this.#last = now
    this.#context ??= new AudioContext()
    TONES[kind].forEach((tone, i) => this.#tone(tone, this.#context.currentTime + i * 0.12))
  }

  #tone(frequency, at) {
    const oscillator = this.#context.createOscillator()
    const gain = this.#context.createGain()
    oscillator.frequency.value = frequency
    gain.gain.setValueAtTime(0, at)
    gain.gain.linearRampToValueAtTime(0.03, at + 0.02)
    gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.35)
    oscillator.connect(gain).connect(this.#context.destination)
    oscillator.start(at)
    oscillator.stop(at + 0.4)
  }

  #toggle() {
    this.on = !this.on
    localStorage.setItem('sound', this.on ? 'on' : 'off')
    this.#show()
  }

  #show() {
    this.button.setAttribute('aria-pressed', String(this.on))
    this.button.title = this.on ? 'Sound is on' : 'Sound is off'
  }
}
