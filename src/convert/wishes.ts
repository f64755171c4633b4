/**
 * What becomes of a wanted conversion that there is not: a wish gets the original, with the reason in the answer, the log and a
 * number; a demand gets an error that says how the image can be pulled all the same (design: "Wishes and demands").
 */
import { LRUCache } from 'lru-cache'
import type { Profile } from '../config/profiles.ts'
import { CrossdockError, type FailureKind, isOutage } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { ManifestAnswer, Wanted } from './asks.ts'
import { Debts } from './debts.ts'
import { NOT_CARRIED } from './missing.ts'

/** One ask of a tag, after it is known what the tag and the profile are. */
export interface Sought {
  readonly repository: Repository
  /** Without the suffix that named the profile. */
  readonly tag: string
  readonly wanted: Wanted
  /** What is there without any conversion. */
  readonly plain: ManifestAnswer
}

export interface UnfulfilledWish extends Repository {
  readonly tag: string
  readonly digest: Digest
  readonly profile: string
  /** A short machine word. */
  readonly reason: string
  readonly message: string
  /** What nobody foresaw. */
  readonly error?: unknown
  /** False when the same was told of the same image before. */
  readonly isNews: boolean
}

export interface WishEvents {
  unfulfilled?(wish: UnfulfilledWish): void
}

/** Images, profiles and reasons that the log was told of. */
const TOLD = 10_000

/** What passes, or says itself what to do: how to pull the original would not help. */
const PASSING: ReadonlySet<FailureKind> = new Set([
  'denied',
  'overloaded',
  'storeFull',
  'tooManyRequests',
  'unauthorized',
  'upstreamFailed',
  'upstreamTimeout',
])

/** Something of the image is not there, or is not what its digest names: that befalls whoever pulls it. */
const OF_SOURCE: ReadonlySet<string | undefined> = new Set([
  ...['blob-missing', 'child-missing'],
  ...['content-encoding', 'manifest-digest', 'size', 'too-long', 'web-page', 'wrong-bytes'],
])

/** Why a wait ends that took all its time. */
export const WAIT_BUDGET = 'wait-budget'

const UNFORESEEN = 'something failed inside crossdock; see its log'

export class Wishes {
  readonly #events: WishEvents
  readonly #told = new LRUCache<string, true>({ max: TOLD })
  readonly #debts: Debts
  #isOver = false

  constructor(events: WishEvents = {}, debts = new Debts()) {
    this.#events = events
    this.#debts = debts
  }

  /** The server ends: nobody gets an answer any more, and what is cut off then says nothing about an image. */
  end(): void {
    this.#isOver = true
  }

  /** The original in place of what was wished; `message` is for the log, and for the client unless the error has other words for it. */
  instead(sought: Sought, reason: string, message: string, error?: unknown): ManifestAnswer {
    const { repository, tag, wanted, plain } = sought
    const { name: profile } = wanted.profile
    const told = error instanceof CrossdockError ? error.told : message
    const warning = `${fullName(repository)}:${tag} comes as the original, not as ${profile}: ${told}`
    if (this.#isOver) return original(plain, reason, [warning])
    const key = `${keyOf(sought)} ${reason}`
    const isNews = !this.#told.has(key)
    this.#told.set(key, true)
    const { digest } = plain
    const unforeseen = error instanceof CrossdockError ? undefined : error
    this.#events.unfulfilled?.({
      ...{ ...repository, tag, digest, profile, reason, message, isNews },
      ...(unforeseen !== undefined && { error: unforeseen }),
    })
    return original(plain, reason, [warning])
  }

  /** For a wish the original; a demand is refused. */
  failed(sought: Sought, error: unknown): ManifestAnswer {
    if (sought.wanted.kind === 'demand') throw refusal(sought, error)
    const message = error instanceof CrossdockError ? error.message : UNFORESEEN
    return this.instead(sought, reasonOf(error), message, error)
  }

  /** Until the image is converted the original is what the next asker gets at once. */
  owe(sought: Sought, { reason = 'slow' }: ManifestAnswer): void {
    this.#debts.owe(keyOf(sought), reason)
  }

  /** Why the original is owed, if it is. */
  owed(sought: Sought): string | undefined {
    return sought.wanted.kind === 'wish' ? this.#debts.find(keyOf(sought)) : undefined
  }
}

export function original(
  plain: ManifestAnswer,
  reason: string,
  warnings: readonly string[] = [],
): ManifestAnswer {
  return {
    ...plain,
    reason,
    conversion: `original; reason=${reason}`,
    warnings: [...plain.warnings, ...warnings],
  }
}

/** A short machine word for whatever a conversion failed with. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof CrossdockError)) return 'internal'
  const { kind, reason } = error
  if (kind === 'storeFull') return 'disk-full'
  // What upstream said of it is as long as the list of its errors.
  const isUpstream = kind === 'denied' || (isOutage(error) && reason !== WAIT_BUDGET)
  if (reason !== undefined && !isUpstream) return reason
  return kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** Says what is broken, and how to pull it unconverted; whoever published it is not to blame for what others can pull. */
function refusal({ repository, tag, wanted }: Sought, error: unknown): unknown {
  const saysItself =
    error instanceof CrossdockError && (PASSING.has(error.kind) || error.reason === NOT_CARRIED)
  if (saysItself) return error
  const name = `${fullName(repository)}:${tag}`
  const [kind, message] =
    error instanceof CrossdockError ? [error.kind, error.told] : (['internal', UNFORESEEN] as const)
  const isOfSource = error instanceof CrossdockError && OF_SOURCE.has(error.reason)
  const advice = isOfSource
    ? `it cannot be pulled unconverted either, so ask whoever keeps ${repository.upstream}`
    : `pull ${name} to get it unconverted (${name}-original where a rule or listener names a profile)`
  return new CrossdockError(
    kind,
    `${name} cannot be converted to ${wanted.profile.name}: ${message}; ${advice}`,
    { cause: error, reason: reasonOf(error) },
  )
}

function keyOf({ repository, plain, wanted }: Sought): string {
  return `${fullName(repository)}@${plain.digest} ${wanted.profile.name}`
}

/** True for a reason that says that nothing is missing: the image has the form already. */
export function isFulfilled(reason: string, profile: Profile): boolean {
  return reason === `already-${profile.format?.name}`
}
