/** At most so many at a time, a share of them for each client and each upstream, in turns among those who wait. */
import { live } from './live.ts'
import { Shares, Turns } from './shares.ts'

export interface FairLimits {
  readonly total: number
  readonly perClient: number
  readonly perUpstream: number
}

/** A wish for a place: it waits, holds the place, and gives it back. */
export interface Ticket {
  /** Resolves when it has its place. */
  readonly granted: Promise<void>
  readonly isGranted: boolean
  /** For whom it has its place. */
  readonly client: string | undefined
  /** Lets it wait in this client's turns, too; nobody in particular is a client as well, without a share. */
  wantedBy(client: string | undefined): void
  /** Gives the place back, or leaves the queue. */
  release(): void
}

export class FairSemaphore {
  readonly #limits: FairLimits
  readonly #clients: Shares
  readonly #upstreams: Shares
  readonly #queue = new FairQueue<FairTicket>()

  constructor(limits: FairLimits) {
    this.#limits = limits
    this.#clients = new Shares(live(() => ({ total: limits.total, each: limits.perClient })))
    this.#upstreams = new Shares(live(() => ({ total: limits.total, each: limits.perUpstream })))
  }

  /** A ticket that waits for nobody yet; see `wantedBy`. */
  request(upstream: string): Ticket {
    return new FairTicket(upstream, this.#queue, {
      serve: () => this.#serve(),
      leave: (client) => this.#leave(client, upstream),
    })
  }

  get queued(): number {
    return this.#queue.size
  }

  /** Whether the first could have its place if the second gave up its own. */
  wouldFit(waiting: Ticket, holding: Ticket): boolean {
    if (!(waiting instanceof FairTicket && holding instanceof FairTicket)) return false
    const { holder } = holding
    if (holder === undefined) return false
    const { perClient, perUpstream } = this.#limits
    const freed = waiting.upstream === holding.upstream ? 1 : 0
    if (this.#upstreams.held(waiting.upstream) - freed >= perUpstream) return false
    return waiting.clients.some((client) => {
      if (client === undefined) return true
      const own = holder.client === client ? 1 : 0
      return this.#clients.held(client) - own < perClient
    })
  }

  #serve(): void {
    for (;;) {
      const next = this.#queue.shift((ticket, client) => this.#admit(client, ticket.upstream))
      if (next === undefined) return
      next.item.grant(next.client)
    }
  }

  /** Takes the place if there is one. */
  #admit(client: string | undefined, upstream: string): boolean {
    if (this.#upstreams.admit(upstream) !== 'admitted') return false
    if (client === undefined || this.#clients.admit(client) === 'admitted') return true
    this.#upstreams.leave(upstream)
    return false
  }

  #leave(client: string | undefined, upstream: string): void {
    if (client !== undefined) this.#clients.leave(client)
    this.#upstreams.leave(upstream)
    this.#serve()
  }
}

class FairTicket implements Ticket {
  readonly upstream: string
  readonly clients: (string | undefined)[] = []
  readonly #queue: FairQueue<FairTicket>
  readonly #semaphore: { serve(): void; leave(client: string | undefined): void }
  readonly #granted = Promise.withResolvers<void>()
  #holder: { readonly client: string | undefined } | undefined
  #isOver = false

  constructor(
    upstream: string,
    queue: FairQueue<FairTicket>,
    semaphore: { serve(): void; leave(client: string | undefined): void },
  ) {
    this.upstream = upstream
    this.#queue = queue
    this.#semaphore = semaphore
  }

  get granted(): Promise<void> {
    return this.#granted.promise
  }

  get isGranted(): boolean {
    return this.#holder !== undefined
  }

  get client(): string | undefined {
    return this.#holder?.client
  }

  /** Whose place it is, once it has one. */
  get holder(): { readonly client: string | undefined } | undefined {
    return this.#holder
  }

  wantedBy(client: string | undefined): void {
    if (this.#isOver || this.isGranted || this.clients.includes(client)) return
    this.clients.push(client)
    this.#queue.push(client, this.upstream, this)
    this.#semaphore.serve()
  }

  grant(client: string | undefined): void {
    this.#holder = { client }
    this.#leaveQueue()
    this.#granted.resolve()
  }

  release(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#leaveQueue()
    if (this.#holder !== undefined) this.#semaphore.leave(this.#holder.client)
  }

  #leaveQueue(): void {
    for (const client of this.clients) this.#queue.remove(client, this.upstream, this)
  }
}

/** Turns among clients, for each of them among upstreams, and for each of those first come first served. */
export class FairQueue<T> {
  /** In the order of turns. */
  readonly #clients = new Map<string | undefined, Turns<T>>()

  /** Counts an item as often as it was pushed. */
  get size(): number {
    let size = 0
    for (const turns of this.#clients.values()) size += turns.size
    return size
  }

  waiting(client: string | undefined): number {
    return this.#clients.get(client)?.size ?? 0
  }

  /** True when somebody waits who is not this client with this upstream. */
  hasOthers(client: string | undefined, upstream: string): boolean {
    return this.size > (this.#clients.get(client)?.waiting(upstream) ?? 0)
  }

  push(client: string | undefined, upstream: string, item: T): void {
    let turns = this.#clients.get(client)
    if (turns === undefined) {
      turns = new Turns()
      this.#clients.set(client, turns)
    }
    turns.push(upstream, item)
  }

  /** Takes out the first in turn that fits, and says for which client. */
  shift(
    fits: (item: T, client: string | undefined) => boolean,
  ): { readonly item: T; readonly client: string | undefined } | undefined {
    for (const [client, turns] of this.#clients) {
      const item = turns.shift((one) => fits(one, client))
      if (item === undefined) continue
      this.#clients.delete(client)
      if (turns.size > 0) this.#clients.set(client, turns)
      return { item, client }
    }
    return undefined
  }

  remove(client: string | undefined, upstream: string, item: T): void {
    const turns = this.#clients.get(client)
    turns?.remove(upstream, item)
    if (turns?.size === 0) this.#clients.delete(client)
  }
}
