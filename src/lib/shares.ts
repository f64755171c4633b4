/** One client's share of what is bounded: places that are counted, and turns for those who wait. */

export interface Ceilings {
  /** Places of all together. */
  readonly total: number
  /** Places of one key (a client, an upstream) among them. */
  readonly each: number
}

/** `full`: all places are taken. `share`: this key has its share, whatever is free. */
export type Admission = 'admitted' | 'full' | 'share'

/** Counts places by key; remembers only keys that hold some. */
export class Shares {
  readonly #ceilings: Ceilings
  readonly #held = new Map<string, number>()
  #taken = 0

  constructor(ceilings: Ceilings) {
    this.#ceilings = ceilings
  }

  /** Takes a place when there is one; every `admitted` needs one `leave`. */
  admit(key: string): Admission {
    const held = this.held(key)
    if (held >= this.#ceilings.each) return 'share'
    if (this.#taken >= this.#ceilings.total) return 'full'
    this.#held.set(key, held + 1)
    this.#taken += 1
    return 'admitted'
  }

  leave(key: string): void {
    const held = this.held(key)
    if (held === 0) return
    this.#taken -= 1
    if (held === 1) this.#held.delete(key)
    else this.#held.set(key, held - 1)
  }

  held(key: string): number {
    return this.#held.get(key) ?? 0
  }

  get taken(): number {
    return this.#taken
  }
}

/** A queue in which keys take turns: among many one after the other, for one of them first come first served. */
export class Turns<T> {
  /** In the order of turns: whoever had one goes to the end. */
  readonly #lines = new Map<string, Set<T>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  waiting(key: string): number {
    return this.#lines.get(key)?.size ?? 0
  }

  push(key: string, item: T): void {
    const line = this.#lines.get(key)
    if (line === undefined) this.#lines.set(key, new Set([item]))
    else line.add(item)
    this.#size += 1
  }

  /** Takes out the first of the key whose turn it is, passing over keys whose first does not fit. */
  shift(fits: (item: T) => boolean = () => true): T | undefined {
    for (const [key, line] of this.#lines) {
      for (const item of line) {
        if (!fits(item)) break
        this.#lines.delete(key)
        line.delete(item)
        if (line.size > 0) this.#lines.set(key, line)
        this.#size -= 1
        return item
      }
    }
    return undefined
  }

  /** The key with the longest line. */
  greediest(): string | undefined {
    let greediest: string | undefined
    for (const key of this.#lines.keys()) {
      if (greediest === undefined || this.waiting(key) > this.waiting(greediest)) greediest = key
    }
    return greediest
  }

  /** Takes out the last of a key. */
  pop(key: string): T | undefined {
    const last = [...(this.#lines.get(key) ?? [])].at(-1)
    if (last !== undefined) this.remove(key, last)
    return last
  }

  /** Takes out one that waits no longer; false when it has had its turn. */
  remove(key: string, item: T): boolean {
    const line = this.#lines.get(key)
    if (line?.delete(item) !== true) return false
    if (line.size === 0) this.#lines.delete(key)
    this.#size -= 1
    return true
  }
}
