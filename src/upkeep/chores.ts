/** What a server does for its store while it is its turn: collects when it is over its budget and now and then, scrubs at leisure. */
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { SharedTurn } from '../ports/shared-turns.ts'
import type { Collected, Collector } from './collector.ts'
import type { Deduplicator, Folded, Strange } from './deduplicator.ts'
import type { MeteredBlobs } from './metered-blobs.ts'
import type { Check, Verifier } from './verification.ts'

export interface ChoresPolicy {
  readonly maxSize: number
  readonly leaseMs: number
  readonly scrub: {
    /** Bytes per second. */
    readonly rate: number
    /** From one scrub to the next; 0: none. */
    readonly intervalMs: number
  }
  /** Whether layers that are not in use are kept as one copy. */
  readonly dedup: boolean
}

export interface ChoresEvents {
  collected?(collected: Collected): void
  scrubBegan?(): void
  scrubbed?(scrub: { readonly bytes: number; readonly seconds: number }): void
  checked?(check: Check): void
  /** A blob went, since it can be made again from what is kept of it. */
  folded?(blob: Folded): void
  unfoldable?(blob: Strange): void
  failed?(chore: 'collect' | 'scrub' | 'dedup' | 'tidy', error: unknown): void
}

/** Between collections that nothing asked for: orphans, and what other processes brought. */
const COLLECT_EVERY_MS = 3_600_000

/** While the store is over its budget and leases forbid more: how soon it is tried again, ms. */
const RETRY_MS = { least: 250, most: 60_000 } as const

/** A collection of a large store takes a while; it shall not run more than this part of the time. */
const BUSY_PART = 0.05

/** The chore's name in the catalog. */
export const SCRUB = 'scrub'

/** How often the scrub looks whether it is due, ms. */
const SCRUB_LOOK_MS = 60_000

/** From one round of deduplication to the next, ms. */
const DEDUP_MS = { least: 250, most: 600_000 } as const

/** From one round of tidying to the next, ms: what it gives up is a day old. */
const TIDY_EVERY_MS = 3_600_000

/** A scrub that is this much ahead of its rate waits, ms. */
const AHEAD_MS = 50

export interface ChoresDeps {
  readonly store: MeteredBlobs
  readonly catalog: Catalog
  readonly collector: Pick<Collector, 'collect'>
  readonly verifier: Pick<Verifier, 'all'>
  readonly deduplicator: Pick<Deduplicator, 'run'>
  readonly clock: Clock
  readonly policy: ChoresPolicy
  readonly events?: ChoresEvents
}

export class Chores {
  readonly #deps: ChoresDeps
  readonly #events: ChoresEvents
  readonly #turn: SharedTurn
  readonly #stop: AbortSignal
  readonly #ended: AbortSignal
  #budget: number
  /** Resolved when there is a reason to collect before the hour is over. */
  #wanted = Promise.withResolvers<void>()
  #changed = Promise.withResolvers<void>()

  /** Until `stop` is aborted, or the turn is over. */
  constructor(deps: ChoresDeps, turn: SharedTurn, stop: AbortSignal) {
    this.#deps = deps
    this.#events = deps.events ?? {}
    this.#turn = turn
    this.#stop = stop
    this.#ended = AbortSignal.any([stop, turn.signal])
    this.#budget = deps.policy.maxSize
  }

  async run(): Promise<void> {
    const { store } = this.#deps
    store.onGrowth = (isFull) => {
      if (isFull || store.bytes > this.#budget) this.#wanted.resolve()
    }
    await Promise.all([
      this.#collectAlways(),
      this.#scrubAlways(),
      this.#deduplicateAlways(),
      this.#tidyAlways(),
    ])
    store.onGrowth = () => undefined
  }

  /** The policy says something else: what the budget holds is looked at now, not within the hour, and so is what could be one copy. */
  policyChanged(): void {
    this.#wanted.resolve()
    this.#changed.resolve()
  }

  async #collectAlways(): Promise<void> {
    while (!this.#ended.aborted) {
      this.#wanted = Promise.withResolvers()
      const began = this.#deps.clock.monotonic()
      const collected = await this.#collect()
      const took = this.#deps.clock.monotonic() - began
      const pause = Math.max(took / BUSY_PART, RETRY_MS.least)
      await this.#sleep(pause)
      const isOver = collected === undefined || collected.plan.overBy > 0
      const retry = Math.min(RETRY_MS.most, Math.max(this.#deps.policy.leaseMs / 4, RETRY_MS.least))
      // Over the budget, only time helps; else whatever brings it over the budget.
      if (isOver) await this.#sleep(retry)
      else await this.#sleep(COLLECT_EVERY_MS, this.#wanted.promise)
    }
  }

  async #collect(): Promise<Collected | undefined> {
    try {
      const collected = await this.#deps.collector.collect(this.#ended)
      this.#budget = collected.budget
      this.#events.collected?.(collected)
      return collected
    } catch (error) {
      if (!this.#stop.aborted) this.#events.failed?.('collect', error)
      return undefined
    }
  }

  async #deduplicateAlways(): Promise<void> {
    while (!this.#ended.aborted) {
      this.#changed = Promise.withResolvers()
      const { dedup, leaseMs } = this.#deps.policy
      const soon = Math.min(Math.max(leaseMs / 4, DEDUP_MS.least), DEDUP_MS.most)
      await this.#sleep(dedup ? soon : DEDUP_MS.most, this.#changed.promise)
      if (this.#deps.policy.dedup) await this.#deduplicate()
    }
  }

  async #deduplicate(): Promise<void> {
    try {
      for await (const blob of this.#deps.deduplicator.run(this.#ended)) {
        if ('error' in blob) this.#events.unfoldable?.(blob)
        else this.#events.folded?.(blob)
      }
    } catch (error) {
      if (!this.#stop.aborted) this.#events.failed?.('dedup', error)
    }
  }

  async #tidyAlways(): Promise<void> {
    while (!this.#ended.aborted) {
      // The start of each server does it, too.
      await this.#sleep(TIDY_EVERY_MS)
      if (!this.#ended.aborted) await this.#tidy()
    }
  }

  async #tidy(): Promise<void> {
    try {
      await this.#deps.store.tidy?.()
    } catch (error) {
      if (!this.#stop.aborted) this.#events.failed?.('tidy', error)
    }
  }

  async #scrubAlways(): Promise<void> {
    while (!this.#ended.aborted) {
      const { intervalMs } = this.#deps.policy.scrub
      if (intervalMs > 0) await this.#scrubWhenDue(intervalMs)
      await this.#sleep(intervalMs > 0 ? Math.min(SCRUB_LOOK_MS, intervalMs) : SCRUB_LOOK_MS)
    }
  }

  async #scrubWhenDue(intervalMs: number): Promise<void> {
    try {
      const last = await this.#deps.catalog.retention.lastDone(SCRUB)
      const now = this.#deps.clock.now()
      // A new store has nothing that could have rotted yet.
      if (last === undefined) await this.#done(now)
      else if (Math.abs(now - last) >= intervalMs) await this.#scrub()
    } catch (error) {
      if (!this.#stop.aborted) this.#events.failed?.('scrub', error)
    }
  }

  async #scrub(): Promise<void> {
    const began = this.#deps.clock.monotonic()
    this.#events.scrubBegan?.()
    let bytes = 0
    const pace = async (more: number) => {
      bytes += more
      const due = began + (bytes / this.#deps.policy.scrub.rate) * 1000
      const ahead = due - this.#deps.clock.monotonic()
      if (ahead > AHEAD_MS) await this.#sleep(ahead)
      this.#ended.throwIfAborted()
    }
    for await (const check of this.#deps.verifier.all({ pace, decode: false })) {
      if (check.state !== 'sound') this.#events.checked?.(check)
    }
    await this.#done(this.#deps.clock.now())
    const seconds = (this.#deps.clock.monotonic() - began) / 1000
    this.#events.scrubbed?.({ bytes, seconds })
  }

  async #done(at: number): Promise<void> {
    await this.#deps.catalog.retention.done(SCRUB, at, this.#turn.fence)
  }

  /** Ends early when the server does, or `wake` resolves. */
  async #sleep(ms: number, wake?: Promise<void>): Promise<void> {
    const awake = new AbortController()
    const signal = AbortSignal.any([this.#ended, awake.signal])
    const slept = this.#deps.clock.sleep(ms, signal).catch(() => undefined)
    await (wake === undefined ? slept : Promise.race([slept, wake]))
    awake.abort()
  }
}
