/** Who waits for work that belongs to the server: it goes on without them, but not at any price. */

/** Somebody who waits, until they have left. */
export interface Waiter {
  /** Whose share of what is bounded it takes; commands have none. */
  readonly client: string | undefined
  /** What it asked for, for people: `docker.io/library/alpine:3-zstd`. */
  readonly image?: string | undefined
  /** Calls `listener` once they have left, at once if they have. */
  whenGone(listener: () => void): void
}

/** Waits until its process ends. */
export const COMMAND: Waiter = { client: undefined, whenGone: () => undefined }

/** Those who wait for one piece of work, themselves or through other work that needs it. */
export class Interest {
  readonly #now: () => number
  readonly #waiters = new Set<Waiter>()
  /** Work that needs this one, as long as it is not over. */
  readonly #above = new Set<Interest>()
  /** Work that is done for this one. */
  readonly #below = new Set<Interest>()
  readonly #clients = new Set<string | undefined>()
  readonly #onClient: ((client: string | undefined) => void)[] = []
  readonly #onForsaken: (() => void)[] = []
  /** Waiters, and work above that somebody waits for. */
  #wanted = 0
  #awaySince: number
  #isOver = false

  /** `now`: monotonic, ms. */
  constructor(now: () => number) {
    this.#now = now
    this.#awaySince = now()
  }

  get isWanted(): boolean {
    return this.#wanted > 0
  }

  /** Since when nobody waits, by the clock; `undefined` while somebody does. */
  get awaySince(): number | undefined {
    return this.isWanted ? undefined : this.#awaySince
  }

  /** Those who wait, themselves or for work that needs this one. */
  waiters(): ReadonlySet<Waiter> {
    const found = new Set(this.#waiters)
    for (const above of this.#above) for (const waiter of above.waiters()) found.add(waiter)
    return found
  }

  /** Somebody waits, themselves or as long as somebody waits for their work. */
  add(one: Waiter | Interest): void {
    if (one instanceof Interest) this.#serve(one)
    else this.#join(one)
  }

  /** The work that all this was for has ended. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    for (const below of this.#below) {
      below.#above.delete(this)
      if (this.isWanted) below.#count(-1)
      below.#checkForsaken()
    }
    this.#below.clear()
  }

  /** Calls `listener` with each client that waits, now and later; with nobody when there is none yet. */
  onClient(listener: (client: string | undefined) => void): void {
    this.#onClient.push(listener)
    const known = this.#clients.size === 0 ? [undefined] : this.#clients
    for (const client of known) listener(client)
  }

  /** Calls `listener` when nobody waits and no work that needs this one is left, at once if it is so. */
  onForsaken(listener: () => void): void {
    if (this.#isForsaken) listener()
    else this.#onForsaken.push(listener)
  }

  #join(waiter: Waiter): void {
    if (this.#waiters.has(waiter)) return
    this.#waiters.add(waiter)
    this.#hear(waiter.client)
    this.#count(1)
    waiter.whenGone(() => {
      if (!this.#waiters.delete(waiter)) return
      this.#count(-1)
      this.#checkForsaken()
    })
  }

  #serve(above: Interest): void {
    if (above === this || above.#isOver || this.#above.has(above)) return
    this.#above.add(above)
    above.#below.add(this)
    for (const client of above.#clients) this.#hear(client)
    if (above.isWanted) this.#count(1)
  }

  #hear(client: string | undefined): void {
    if (this.#clients.has(client)) return
    this.#clients.add(client)
    for (const listener of this.#onClient) listener(client)
    for (const below of this.#below) below.#hear(client)
  }

  #count(change: 1 | -1): void {
    const before = this.isWanted
    this.#wanted += change
    if (this.isWanted === before) return
    if (before) this.#awaySince = this.#now()
    for (const below of this.#below) below.#count(change)
  }

  get #isForsaken(): boolean {
    return this.#waiters.size === 0 && this.#above.size === 0
  }

  #checkForsaken(): void {
    if (!this.#isForsaken) return
    for (const listener of this.#onForsaken.splice(0)) listener()
  }
}
