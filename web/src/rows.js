// Rows by key, newest version, and never more than there is room for.

const moment = (row) => Date.parse(row.updated_at ?? row.fecha ?? row.created_at ?? 0)

export class Rows {
  #rows = new Map()
  #gone = new Map()
  #key
  #most

  constructor(key, most) {
    this.#key = key
    this.#most = most
  }

  get size() {
    return this.#rows.size
  }

  get(key) {
    return this.#rows.get(key)
  }

  values() {
    return [...this.#rows.values()]
  }

  /** Take a row unless a newer one is known; was it taken? */
  put(row) {
    const key = row[this.#key]
    const before = this.#rows.get(key) ?? this.#gone.get(key)
    if (before && moment(before) > moment(row)) return false
    this.#rows.delete(key)
    this.#gone.delete(key)
    this.#rows.set(key, row)
    if (this.#rows.size > this.#most) this.#rows.delete(this.#rows.keys().next().value)
    return true
  }

  /** Remove a row; an older version that comes later does not bring it back. */
  drop(row) {
    const key = row[this.#key]
    this.#rows.delete(key)
    this.#gone.set(key, row)
    if (this.#gone.size > 200) this.#gone.delete(this.#gone.keys().next().value)
  }

  /** What a read found at a moment: all there was then, while changes went on. */
  load(rows, at) {
    const found = new Set(rows.map((row) => row[this.#key]))
    for (const [key, row] of this.#rows)
      if (!found.has(key) && moment(row) < Date.parse(at)) this.#rows.delete(key)
    for (const row of [...rows].sort((a, b) => moment(a) - moment(b))) this.put(row)
  }

  clear() {
    this.#rows.clear()
    this.#gone.clear()
  }
}

export const newest = (a, b) => moment(b) - moment(a)
