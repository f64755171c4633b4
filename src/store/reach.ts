/** Whether what a store lies on answers: says once that it is away and once that it is back, however many questions fail meanwhile. */
import type { Clock } from '../ports/clock.ts'
import type { Outage, OutageExtent, Outages, StorePart } from '../ports/outages.ts'
import { Doubts, type Use } from './doubts.ts'

export interface ReachEvents {
  /** One question, with all its tries. */
  storeFailed(part: StorePart): void
  /** Again where it gets worse. */
  storeAway(outage: Outage): void
  storeBack(ended: EndedOutage): void
}

export interface EndedOutage extends Pick<Outage, 'part' | 'where' | 'since'> {
  readonly seconds: number
  /** For how long nothing has failed, where what had failed was not seen to work since. */
  readonly untriedSeconds: number | undefined
}

/** One broken connection is no outage: how long nobody may answer before it is called one, ms. S3's client has tried for longer. */
const GRACE_MS: Readonly<Record<StorePart, number>> = { catalog: 1_000, blobs: 0 }

/** The later, the worse. */
const EXTENTS: readonly OutageExtent[] = ['writes', 'some', 'all']

/** Between two looks, ms: while it is away, and while nothing is wrong. */
const AGAIN_MS = 1_000
const WATCH_MS = 15_000

interface Trouble {
  readonly since: number
  readonly sinceMonotonic: number
  readonly message: string
  /** It is an outage, not a connection that broke. */
  readonly isCertain: boolean
  /** The worst that was said of it. */
  readonly told: OutageExtent | undefined
}

type Look = () => Promise<void>

export class Reach {
  readonly part: StorePart
  readonly where: string
  readonly #clock: Clock
  readonly #events: ReachEvents
  readonly #closing: AbortSignal
  readonly #doubts = new Doubts()
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
    if (trouble === undefined || !trouble.isCertain) return undefined
    const { part, where } = this
    return {
      ...{ part, where, since: trouble.since, message: trouble.message },
      fails: this.#doubts.extent,
    }
  }

  /** A question was not answered, although it was asked again. Default: one that tells whether it can be used at all. */
  failed(error: Error, use: Use = 'looks'): void {
    if (this.#closing.aborted) return
    this.#events.storeFailed(this.part)
    this.#isAway(error, use)
  }

  answered(use: Use = 'looks'): void {
    this.#doubts.answered(use, this.#clock.monotonic())
  }

  async watch(): Promise<void> {
    while (!this.#closing.aborted) {
      await this.#sleep(WATCH_MS)
      if (this.#trouble === undefined) await this.#lookOnce()
    }
  }

  #isAway({ message }: Error, use: Use): void {
    const [since, sinceMonotonic] = [this.#clock.now(), this.#clock.monotonic()]
    this.#doubts.failed(use, sinceMonotonic)
    const known = this.#trouble
    if (known === undefined) {
      const isCertain = GRACE_MS[this.part] === 0
      this.#trouble = { since, sinceMonotonic, message, isCertain, told: undefined }
      void this.#untilBack(use)
    } else {
      this.#trouble = { ...known, message }
    }
    // What else failed is not all that can be said before a look.
    if (use === 'looks') this.#tell()
  }

  async #untilBack(use: Use): Promise<void> {
    if (this.#trouble?.isCertain === false) await this.#grant()
    if (use !== 'looks') {
      await this.#lookOnce()
      this.#tell()
    }
    while (!this.#closing.aborted && this.#trouble !== undefined) {
      await this.#sleep(AGAIN_MS)
      await this.#lookOnce()
      this.#endIfSettled()
      this.#tell()
    }
  }

  async #grant(): Promise<void> {
    await this.#sleep(GRACE_MS[this.part])
    const trouble = this.#trouble
    if (trouble === undefined) return
    const isBack = this.#doubts.isAnswered
    this.#trouble = isBack ? undefined : { ...trouble, isCertain: true }
    if (isBack) this.#doubts.clear()
    else this.#tell()
  }

  #endIfSettled(): void {
    const trouble = this.#trouble
    if (trouble === undefined || this.#closing.aborted) return
    const settled = this.#doubts.settle(this.#clock.monotonic())
    if (settled === undefined) return
    this.#trouble = undefined
    const { part, where } = this
    this.#events.storeBack({
      ...{ part, where, since: trouble.since },
      seconds: (settled.at - trouble.sinceMonotonic) / 1000,
      untriedSeconds: settled.untriedMs && settled.untriedMs / 1000,
    })
  }

  async #lookOnce(): Promise<void> {
    if (this.#closing.aborted) return
    try {
      await this.#look()
      this.answered()
    } catch (error) {
      if (error instanceof Error && !this.#closing.aborted) this.#isAway(error, 'looks')
    }
  }

  /** Unless as much was said already. */
  #tell(): void {
    const [trouble, outage] = [this.#trouble, this.outage]
    if (trouble === undefined || outage === undefined || this.#closing.aborted) return
    const { fails } = outage
    if (trouble.told !== undefined && EXTENTS.indexOf(fails) <= EXTENTS.indexOf(trouble.told))
      return
    this.#trouble = { ...trouble, told: fails }
    this.#events.storeAway(outage)
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
