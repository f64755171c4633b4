/**
 * Platforms that several pullers of a repository were seen to take, or that an operator staged: they are converted behind for its
 * other images, too (docs/adr/0016).
 */
import { LRUCache } from 'lru-cache'
import type { Platform } from '../oci/manifest.ts'
import { formatPlatform } from '../oci/platform.ts'
import type { Repository } from '../oci/repository.ts'
import type { Clock } from '../ports/clock.ts'
import type { PlatformCatalog } from '../ports/platforms.ts'
import { Hearsay, type HearsayDeps, isTold } from '../pull/hearsay.ts'

/** Distinct pullers that make a habit. */
const SEVERAL = 3

/** Learned by pulls for one repository: what is converted behind for each of its images. */
const MOST = 4

const DAY_MS = 24 * 60 * 60_000

/** What nobody has taken for so long is forgotten, ms. */
const FORGET_MS = 28 * DAY_MS

/** How often it is noted that a platform is in use, ms: a durable write, and counts against weeks. */
const NOTE_MS = 7 * DAY_MS

const PULLERS = 20_000

const TOPIC = 'platform-takers'

export interface LearnedPlatformsDeps {
  readonly catalog: PlatformCatalog
  readonly clock: Clock
  /** With processes by which other pullers may come; default: there are none. */
  readonly shared?: HearsayDeps | undefined
}

export class LearnedPlatforms implements AsyncDisposable {
  readonly #catalog: PlatformCatalog
  readonly #clock: Clock
  /** Who took a platform that is not learned yet. */
  readonly #pullers = new LRUCache<string, ReadonlySet<string>>({ max: PULLERS })
  /** When the use of a learned one was noted last, ms since 1970. */
  readonly #noted = new LRUCache<string, number>({ max: PULLERS })

  readonly #others: Hearsay | undefined

  constructor({ catalog, clock, shared }: LearnedPlatformsDeps) {
    this.#catalog = catalog
    this.#clock = clock
    this.#others =
      shared &&
      new Hearsay(shared, TOPIC, ({ platform, puller }) => {
        if (isTold(platform) && isTold(puller)) this.#note(platform, puller)
      })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#others?.[Symbol.asyncDispose]()
  }

  async list(repository: Repository): Promise<readonly Platform[]> {
    return await this.#catalog.list(repository, this.#clock.now() - FORGET_MS)
  }

  /** An operator says so, or it is noted that it is in use. */
  async learn(repository: Repository, platform: Platform): Promise<void> {
    const now = this.#clock.now()
    this.#noted.set(keyOf(repository, platform), now)
    await this.#catalog.learn(repository, platform, now, now - FORGET_MS)
  }

  /** Somebody fetched a child for this platform, and its conversion is here. */
  async taken(repository: Repository, platform: Platform, puller: string): Promise<void> {
    const known = await this.list(repository)
    const key = keyOf(repository, platform)
    if (known.some((one) => keyOf(repository, one) === key)) {
      this.#pullers.delete(key)
      const last = this.#noted.get(key) ?? Number.NEGATIVE_INFINITY
      if (this.#clock.now() - last >= NOTE_MS) await this.learn(repository, platform)
      return
    }
    if (known.length >= MOST) return
    const before = this.#pullers.get(key)?.size ?? 0
    const pullers = this.#note(key, puller)
    if (pullers.size > before) void this.#others?.tell({ platform: key, puller })
    if (pullers.size < SEVERAL) return
    this.#pullers.delete(key)
    await this.learn(repository, platform)
  }

  #note(key: string, puller: string): ReadonlySet<string> {
    const known = this.#pullers.get(key) ?? new Set()
    // Those that make a habit are enough to know.
    if (known.size >= SEVERAL) return known
    const pullers = new Set([...known, puller])
    this.#pullers.set(key, pullers)
    return pullers
  }
}

function keyOf({ upstream, name }: Repository, platform: Platform): string {
  return `${upstream}/${name} ${formatPlatform(platform)} ${platform.osVersion ?? ''}`
}
