/**
 * Children of indexes that cannot be converted: what becomes of the others, and how long nobody tries again. A child that is not
 * there, or whose layers are not what they claim to be, is no reason to refuse an index whose other children are sound.
 */
import { LRUCache } from 'lru-cache'
import { CrossdockError, isOutage } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { optionsText } from '../ports/recipe.ts'
import type { ImageTask } from './image-task.ts'
import { reasonOf } from './wishes.ts'

/** How long a child is left as it is, ms: one that cannot be asked for, one that is not there, one that is broken. */
const OUTAGE_MS = 5_000
const MISSING_MS = 60_000
const BROKEN_MS = 10 * 60_000

/** Children that upstream may fail at before it counts as down: each costs its timeouts and retries. */
const MAX_OUTAGES = 3

/** What would befall every child alike. */
const COMMON: ReadonlySet<CrossdockError['kind']> = new Set(['internal', 'overloaded', 'storeFull'])
const COMMON_REASONS: ReadonlySet<string | undefined> = new Set(['abandoned', 'too-many-manifests'])

export interface SetbackEvents {
  /** A child stays what it is; said once of each reason. */
  left?(child: {
    readonly upstream: string
    readonly name: string
    readonly digest: Digest
    readonly profile: string
    readonly reason: string
    readonly message: string
  }): void
}

export class Setbacks {
  readonly #events: SetbackEvents
  readonly #known = new LRUCache<string, CrossdockError>({ max: 20_000 })
  readonly #told = new LRUCache<string, true>({ max: 10_000 })

  constructor(events: SetbackEvents = {}) {
    this.#events = events
  }

  /** Why a child was left as it is a moment ago. */
  find(task: ImageTask, child: Digest): CrossdockError | undefined {
    return this.#known.get(keyOf(task, child))
  }

  note(task: ImageTask, child: Digest, error: CrossdockError): void {
    this.#known.set(keyOf(task, child), error, { ttl: ttlOf(error) })
    const { repository, profile } = task
    const reason = reasonOf(error)
    const key = `${keyOf(task, child)} ${reason}`
    if (this.#told.has(key)) return
    this.#told.set(key, true)
    this.#events.left?.({ ...repository, digest: child, profile, reason, message: error.message })
  }
}

/** How often upstream has failed in one question. */
export interface Outages {
  count: number
}

/** What one index has to do without. */
export class Losses {
  /** Below it, at any depth. */
  readonly left = new Set<Digest>()
  readonly #outages: Outages
  #broken: CrossdockError | undefined
  #missing: CrossdockError | undefined

  constructor(outages: Outages) {
    this.#outages = outages
  }

  /**
   * Throws what is no matter of this child alone, and an upstream's failures when there are too many of them. `isNew`: false where
   * another index has lost the same child.
   */
  add(child: Digest, error: unknown, isNew: boolean): CrossdockError {
    if (!isOfChild(error)) throw error
    this.#outages.count += Number(isNew && isOutage(error))
    if (this.#outages.count > MAX_OUTAGES) throw error
    this.left.add(child)
    if (isMissing(error)) this.#missing ??= error
    else this.#broken ??= error
    return error
  }

  /** What went wrong with the first child that is there. */
  get broken(): CrossdockError | undefined {
    return this.#broken
  }

  get missing(): CrossdockError | undefined {
    return this.#missing
  }
}

export function isOfChild(error: unknown): error is CrossdockError {
  if (!(error instanceof CrossdockError)) return false
  return !COMMON.has(error.kind) && !COMMON_REASONS.has(error.reason)
}

function isMissing({ kind }: CrossdockError): boolean {
  return kind === 'manifestUnknown'
}

function ttlOf(error: CrossdockError): number {
  if (isOutage(error)) return OUTAGE_MS
  return isMissing(error) || error.kind === 'blobUnknown' ? MISSING_MS : BROKEN_MS
}

function keyOf({ repository, profile, options }: ImageTask, child: Digest): string {
  const { upstream, name } = repository
  return `${upstream}/${name}@${child} ${profile} ${optionsText(options)}`
}
