/**
 * What the store is made of and what would go next: a walk over everything in it, made when somebody asks, kept for a while, and
 * never twice at a time.
 */
import { setImmediate } from 'node:timers/promises'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Digest } from '../oci/digest.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Collector, Findings } from '../upkeep/collector.ts'

export interface StoreReportDeps {
  readonly catalog: Pick<Catalog, 'links' | 'conversions'>
  readonly clock: Clock
  readonly collector: Pick<Collector, 'plan'>
  readonly store: Pick<BlobStore, 'list'>
}

export interface Share {
  readonly name: string
  readonly blobs: number
  readonly bytes: number
}

export interface StoreReport {
  /** ms since 1970. */
  readonly at: number
  readonly blobs: number
  readonly total: number
  readonly budget: number
  readonly overBy: number
  readonly kept: Findings['plan']['kept']
  /** In the order in which they go; the first of them. */
  readonly next: readonly {
    readonly digest: Digest
    readonly size: number
    readonly lastUsed: number
    readonly reason: string
    readonly comesBackFrom: string | null
    readonly heldBy: string | null
  }[]
  readonly nextCount: number
  readonly nextBytes: number
  /** A blob that several hold counts as shared. */
  readonly byUpstream: readonly Share[]
  readonly byProfile: readonly Share[]
}

/** A report is this old at most, or as old as twenty times what it took. */
const FRESH_MS = 15_000
const BUSY_PART = 0.05

/** Blobs looked up between two turns of the event loop. */
const TURN = 32
const NEXT = 100

const SHARED = 'shared by several'
const NOBODY = 'not linked yet'

export class StoreReports {
  readonly #deps: StoreReportDeps
  readonly #flight = new SingleFlight<StoreReport>()
  #known: { readonly report: StoreReport; readonly until: number } | undefined

  constructor(deps: StoreReportDeps) {
    this.#deps = deps
  }

  async read(): Promise<StoreReport> {
    const { clock } = this.#deps
    if (this.#known !== undefined && clock.monotonic() < this.#known.until)
      return this.#known.report
    return await this.#flight.run('', async () => {
      const began = clock.monotonic()
      const report = await this.#make()
      const ended = clock.monotonic()
      const until = ended + Math.max(FRESH_MS, (ended - began) / BUSY_PART)
      this.#known = { report, until }
      return report
    })
  }

  async #make(): Promise<StoreReport> {
    const { collector, clock, store } = this.#deps
    const { plan, budget, blobs, returns } = await collector.plan()
    const byUpstream = new Tally()
    const byProfile = new Tally()
    let looked = 0
    for await (const { digest, size } of store.list()) {
      const { upstreams, profiles } = await this.#ownersOf(digest)
      byUpstream.add(upstreams, size)
      byProfile.add(profiles, size)
      looked += 1
      if (looked % TURN === 0) await setImmediate()
    }
    const next = []
    for (const { digest, size, touchedAt, reason } of plan.victims.slice(0, NEXT)) {
      const back = returns.get(digest)
      const [holder] = await this.#deps.catalog.links.holders(digest)
      next.push({
        ...{ digest, size, lastUsed: touchedAt, reason },
        comesBackFrom: back !== undefined && 'from' in back ? back.from : null,
        heldBy: holder === undefined ? null : `${holder.upstream}/${holder.name}`,
      })
    }
    const { total, overBy, kept, victims } = plan
    return {
      ...{ at: clock.now(), blobs, total, budget, overBy, kept, next },
      nextCount: victims.length,
      nextBytes: victims.reduce((sum, { size }) => sum + size, 0),
      byUpstream: byUpstream.shares(),
      byProfile: byProfile.shares(),
    }
  }

  async #ownersOf(digest: Digest) {
    const { links, conversions } = this.#deps.catalog
    const holders = await links.holders(digest)
    const upstreams = new Set(holders.map(({ upstream }) => upstream))
    const profiles = new Set<string>()
    if (holders.some(({ standing }) => standing === 'proven')) profiles.add('original')
    if (holders.some(({ standing }) => standing === 'made')) {
      for (const by of [{ target: digest }, { output: digest }]) {
        for (const { recipe } of await conversions.listImages(by)) profiles.add(recipe.profile)
      }
    }
    return { upstreams, profiles }
  }
}

/** Bytes and blobs by name. */
class Tally {
  readonly #shares = new Map<string, { blobs: number; bytes: number }>()

  add(owners: ReadonlySet<string>, bytes: number): void {
    const [first] = owners
    const name = first === undefined ? NOBODY : owners.size === 1 ? first : SHARED
    const share = this.#shares.get(name) ?? { blobs: 0, bytes: 0 }
    share.blobs += 1
    share.bytes += bytes
    this.#shares.set(name, share)
  }

  /** The largest first. */
  shares(): readonly Share[] {
    return [...this.#shares]
      .map(([name, share]) => ({ name, ...share }))
      .sort((a, b) => b.bytes - a.bytes)
  }
}
