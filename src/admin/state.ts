/** What the dashboard shows live, in parts that change at a pace of their own, as plain data. */
import type { Config } from '../config/schema.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Outages } from '../ports/outages.ts'
import { SCRUB } from '../upkeep/chores.ts'
import type { MeteredBlobs } from '../upkeep/metered-blobs.ts'
import type { Activity } from './activity.ts'
import { type ExampleDeps, exampleImage } from './example-image.ts'
import { Remembered } from './remembered.ts'
import type { Tasks } from './tasks.ts'
import { describeWork, type WorkDeps } from './work.ts'

/** A listener that clients pull from. */
export interface Entrance {
  /** As it is bound; a wildcard means any address of the machine. */
  readonly host: string
  readonly port: number
  readonly scheme: 'http' | 'https'
  readonly profile: string | null
}

export interface StateDeps extends WorkDeps, ExampleDeps {
  readonly activity: Activity
  readonly catalog: Pick<Catalog, 'retention'> & ExampleDeps['catalog']
  readonly clock: Clock
  readonly config: Pick<Config, 'cache' | 'defaultUpstream'>
  readonly profiles: { readonly names: readonly string[] }
  readonly store: Pick<MeteredBlobs, 'bytes' | 'room'>
  readonly tasks: Tasks
  readonly upstreams: ExampleDeps['upstreams'] & { restMs(name: string): number }
  readonly version: string
  /** When the server began; default: now. */
  readonly startedAt?: number | undefined
  readonly listeners: () => readonly Entrance[]
  readonly outages: Pick<Outages, 'list'>
}

export type Parts = Awaited<ReturnType<AdminState['read']>>

/** How long it is believed when the last scrub was, ms. */
const SCRUB_LOOK_MS = 30_000

/** How often an image is looked for that could be tried, ms. */
const EXAMPLE_LOOK_MS = 15_000

export class AdminState {
  readonly #deps: StateDeps
  readonly #startedAt: number
  readonly #lastScrub: Remembered<number | null>
  readonly #example: Remembered<string | null>

  constructor(deps: StateDeps) {
    this.#deps = deps
    this.#startedAt = deps.startedAt ?? deps.clock.now()
    const { clock, catalog, outages } = deps
    const mayAsk = () => !outages.list().some(({ part }) => part === 'catalog')
    this.#lastScrub = new Remembered({
      ...{ clock, mayAsk, freshMs: SCRUB_LOOK_MS },
      ask: async () => (await catalog.retention.lastDone(SCRUB)) ?? null,
    })
    this.#example = new Remembered({
      ...{ clock, mayAsk, freshMs: EXAMPLE_LOOK_MS },
      ask: async () => (await exampleImage(deps)) ?? null,
    })
  }

  /** Each key is a part that changes by itself. */
  async read() {
    const { activity, outages } = this.#deps
    return {
      outages: outages.list(),
      server: await this.#server(),
      work: describeWork(this.#deps),
      traffic: { ...activity.traffic.summary(), savings: activity.blobs.savings },
      upstreams: this.#upstreams(),
      store: await this.#store(),
      troubles: activity.troubles.summary(),
      tasks: this.#deps.tasks.list(),
    }
  }

  /** Traffic by the minute. */
  history(minutes: number) {
    return this.#deps.activity.traffic.history(minutes)
  }

  async #server() {
    const { config, profiles, version, listeners } = this.#deps
    return {
      version,
      node: process.version,
      startedAt: this.#startedAt,
      profiles: profiles.names,
      defaultUpstream: config.defaultUpstream,
      offline: config.cache.offline,
      /** What a client could pull to see something happen, without suffix. */
      example: await this.#exampleImage(),
      listeners: listeners(),
    }
  }

  /** Those that are configured, and others that were asked. */
  #upstreams() {
    const { upstreams, activity } = this.#deps
    const names = new Set([...upstreams.names, ...activity.upstreams.names])
    return [...names].map((name) => {
      const note = activity.upstreams.find(name)
      const restSeconds = Math.ceil(upstreams.restMs(name) / 1000)
      return { ...note, restSeconds, health: healthOf(note, restSeconds) }
    })
  }

  async #store() {
    const { store, config, activity } = this.#deps
    const { maxSize, lease, scrub } = config.cache
    const room = await store.room()
    const { bytes } = store
    return {
      bytes,
      /** What the disk leaves room for counts as well. */
      budget: room === undefined ? maxSize : Math.max(0, Math.min(maxSize, bytes + room)),
      maxSize,
      leaseMs: lease,
      scrub: { ...(await this.#scrubbedAt()), intervalMs: scrub.interval, rate: scrub.rate },
      upkeep: activity.upkeep.summary(),
    }
  }

  async #exampleImage(): Promise<string | null> {
    return (await this.#example.read()) ?? this.#example.last ?? null
  }

  /** `lastAt` is `null` when there was no scrub yet, and is left out while the catalog does not say it. */
  async #scrubbedAt(): Promise<{ readonly lastAt?: number | null }> {
    const lastAt = await this.#lastScrub.read()
    return lastAt === undefined ? {} : { lastAt }
  }
}

/** `resting`: it is not asked for a while. `failing`: what was asked last failed. `idle`: it was not asked yet. */
export function healthOf(
  note: Pick<ReturnType<Activity['upstreams']['find']>, 'answeredAt' | 'failure'>,
  restSeconds: number,
): 'up' | 'failing' | 'resting' | 'idle' {
  if (restSeconds > 0) return 'resting'
  const { answeredAt, failure } = note
  if (failure !== null && (answeredAt === null || failure.at > answeredAt)) return 'failing'
  return answeredAt === null ? 'idle' : 'up'
}
