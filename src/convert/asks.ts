/** What is asked of a tag, and what comes back: the words that pulls, commands and the distribution API share. */
import type { Profile } from '../config/profiles.ts'
import type { CrossdockError } from '../errors.ts'
import type { Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Acceptance } from './plan.ts'

/**
 * A profile, and how firmly it is meant. A tag's suffix demands it of this very image; a path, header, listener or rule wishes
 * it for whatever image comes, whose original is better than nothing.
 */
export type Wanted =
  | { readonly kind: 'wish'; readonly profile: Profile }
  | { readonly kind: 'demand'; readonly profile: Profile }

export function wishFor(profile: Profile | undefined): Wanted | undefined {
  return profile && { kind: 'wish', profile }
}

export function demandFor(profile: Profile | undefined): Wanted | undefined {
  return profile && { kind: 'demand', profile }
}

export interface TagAsk {
  readonly repository: Repository
  readonly tag: string
  /** What is wanted of a tag without a suffix; one that it has wins over it. */
  readonly wanted: Wanted | undefined
  readonly acceptance: Acceptance
  /** What the asker is known to run on or to stage for: waited for where a profile's platforms are `auto`. */
  readonly platforms?: 'all' | readonly Platform[]
  /** Who waits for the answer, and whose share of what is bounded it takes. */
  readonly waiter?: Waiter
  /** Throws when who asks may not have the profile that the tag's suffix turned out to name. */
  readonly admit?: (profile: Profile | undefined) => void
  /** Why this client cannot read a format's layers, if it cannot. */
  readonly cannotRead: (profile: Profile) => string | undefined
  /** True: only what there is without any conversion is wanted, whatever profile a suffix names. */
  readonly isLook?: boolean
}

export interface ManifestAnswer extends RawManifest {
  /** `upstream`: its manifest had to be fetched, or its image to be converted, for whoever asks. */
  readonly from: 'store' | 'upstream'
  /** Value of the header `Crossdock-Conversion`; absent without a profile. */
  readonly conversion?: string
  /** Why it is the original, where a profile was wanted. */
  readonly reason?: string
  /** What below a converted index was to be converted and stays what it is. */
  readonly left?: readonly LeftChild[]
  /** Texts of `Warning: 299`. */
  readonly warnings: readonly string[]
  /** True when upstream could not be asked: `Warning: 110`. */
  readonly stale: boolean
  /** When upstream last said what the tag names, ms since 1970, where it was not asked now. */
  readonly checkedAt?: number | undefined
}

export interface LeftChild {
  readonly digest: Digest
  /** `undefined`: it was found out earlier, and by another process. */
  readonly error: CrossdockError | undefined
}

/** An answer that may take a while. */
export interface PendingAnswer {
  /** Content-Type of what `answer` is to bring, known early. Never unhandled. */
  readonly mediaType: Promise<string>
  /** The conversion, or for a wish that it fails the original; for a demand it fails. Never unhandled. */
  readonly answer: Promise<ManifestAnswer>
  /** The source, for clients that rather not wait. */
  readonly original: ManifestAnswer
  readonly profile: Profile
  /** What there is after `seconds` of waiting: for a wish the original, for a demand an error. */
  giveUp(seconds: number): Promise<ManifestAnswer>
  /** The client is cut, having been promised another media type than this answer has: who asks next gets it at once. */
  owe(answer: ManifestAnswer): void
}

export function isPending(answer: ManifestAnswer | PendingAnswer): answer is PendingAnswer {
  return 'answer' in answer
}
