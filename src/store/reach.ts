/** Whether what a store lies on answers: says once that it is away and once that it is back, however many questions fail meanwhile. */
import type { Clock } from '../ports/clock.ts'
import type { Outage, Outages, StorePart } from '../ports/outages.ts'

export interface ReachEvents {
  /** One question, with all its tries. */
  storeFailed(part: StorePart): void
  storeAway(outage: Outage): void
  storeBack(ended: Pick<Outage, 'part' | 'where' | 'since'> & { readonly seconds: number }): void
}

/** One broken connection is no outage: how long nobody may answer before it is called one, ms. S3's client has tried for longer. */
const GRACE_MS: Readonly<Record<StorePart, number>> = { catalog: 1_000, blobs: 0 }

/** How long nothing may fail before it counts as back, ms: in a storm some questions are answered. */
const SETTLED_MS = 5_000

/** Between two looks, ms: while it is away, and while nothing is wrong. */
const AGAIN_MS = 1_000
const WATCH_MS = 15_000

interface Trouble {
  readonly since: number
  readonly sinceMonotonic: number
  readonly message: string
  /** When it answered, after which nothing has failed. */
  readonly answeredAt: number | undefined
  readonly isTold: boolean
}

type Look = () => Promise<void>

export class Reach {
  readonly part: StorePart
  readonly where: string
  readonly #clock: Clock
  readonly #events: ReachEvents
  readonly #closing: AbortSignal
  #look: Look = async () => undefined
  #trouble: Trouble | undefined

  constructor(
    { part, where }: Pick<Outage, 'part' | 'where'>,
    { clock, events, closing }: OutagesDeps & { readonly closing: AbortSignal },
  ) {
    this.part = part
    this.where = where
    this.#clock = clock
    this.#events = events
    this.#closing = closing
  }

  /** `look` throws while it cannot be used. */
  lookBy(look: Look): void {
    this.#look = look
  }

  get outage(): Outage | undefined {
    const trouble = this.#trouble
    if (trouble === undefined || !trouble.isTold) return undefined
    const { part, where } = this
    return { part, where, since: trouble.since, message: trouble.message }
  }

  /** A question was not answered, although it was asked again. */
  failed(error: Error): void {
    if (this.#closing.aborted) return
    this.#events.storeFailed(this.part)
    this.#isAway(error)
  }

  answered(): void {
    const trouble = this.#trouble
    // What counts is the first answer after the last failure.
    if (trouble === undefined || trouble.answeredAt !== undefined) return
    this.#trouble = { ...trouble, answeredAt: this.#clock.monotonic() }
  }

  async watch(): Promise<void> {
    while (!this.#closing.aborted) {
      await this.#sleep(WATCH_MS)
      if (this.#trouble === undefined) await this.#lookOnce()
    }
  }

  #isAway({ message }: Error): void {
    const known = this.#trouble
    if (known !== undefined) {
      this.#trouble = { ...known, message, answeredAt: undefined }
      return
    }
    const { part } = this
    const isTold = GRACE_MS[part] === 0
    const [since, sinceMonotonic] = [this.#clock.now(), this.#clock.monotonic()]
    this.#trouble = { since, sinceMonotonic, message, answeredAt: undefined, isTold }
    if (isTold) this.#tell()
    void this.#untilBack(isTold)
  }

  async #untilBack(isTold: boolean): Promise<void> {
    if (!isTold) await this.#grant()
    while (!this.#closing.aborted && this.#trouble !== undefined) {
      await this.#sleep(AGAIN_MS)
      await this.#lookOnce()
      this.#endIfSettled()
    }
  }

  async #grant(): Promise<void> {
    await this.#sleep(GRACE_MS[this.part])
    const trouble = this.#trouble
    if (trouble === undefined) return
    const isBack = trouble.answeredAt !== undefined
    this.#trouble = isBack ? undefined : { ...trouble, isTold: true }
    if (!isBack) this.#tell()
  }

  #endIfSettled(): void {
    const trouble = this.#trouble
    if (trouble?.answeredAt === undefined || this.#closing.aborted) return
    if (this.#clock.monotonic() - trouble.answeredAt < SETTLED_MS) return
    const { part, where } = this
    const { since, sinceMonotonic, answeredAt } = trouble
    this.#trouble = undefined
    this.#events.storeBack({ part, where, since, seconds: (answeredAt - sinceMonotonic) / 1000 })
  }

  async #lookOnce(): Promise<void> {
    if (this.#closing.aborted) return
    try {
      await this.#look()
      this.answered()
    } catch (error) {
      if (error instanceof Error && !this.#closing.aborted) this.#isAway(error)
    }
  }

  #tell(): void {
    if (this.outage !== undefined && !this.#closing.aborted) this.#events.storeAway(this.outage)
  }

  async #sleep(ms: number): Promise<void> {
    await this.#clock.sleep(ms, this.#closing).catch(() => undefined)
  }
}

export interface OutagesDeps {
  readonly clock: Clock
  readonly events: ReachEvents
}

export class StoreOutages implements Outages, Disposable {
  readonly #deps: OutagesDeps
  readonly #closing = new AbortController()
  readonly #reaches: Reach[] = []

  constructor(deps: OutagesDeps) {
    this.#deps = deps
  }

  get parts(): readonly StorePart[] {
    return this.#reaches.map(({ part }) => part)
  }

  add(part: StorePart, where: string): Reach {
    const reach = new Reach({ part, where }, { ...this.#deps, closing: this.#closing.signal })
    this.#reaches.push(reach)
    return reach
  }

  list(): readonly Outage[] {
    const outages = this.#reaches.flatMap(({ outage }) => (outage === undefined ? [] : [outage]))
    return outages.toSorted((a, b) => a.since - b.since)
  }

  watch(): void {
    for (const reach of this.#reaches) void reach.watch()
  }

  [Symbol.dispose](): void {
    this.#closing.abort()
  }
}
