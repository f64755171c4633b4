/** The lines of the journal beside the catalog: what no manifest in the store says. */
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Link } from '../ports/links.ts'
import type { Pin } from '../ports/pins.ts'

/** Claims of this tag that are no younger than `at` (ms since 1970) are void. */
export interface ForgottenTag extends Repository {
  readonly tag: string
  readonly at: number
}

export interface LearnedPlatform extends Repository {
  readonly platform: Platform
  /** When it was learned or used, ms since 1970; older lines do not say. */
  readonly at?: number
}

export interface PinLine extends Pin {
  /** False: from here on it is not. */
  readonly isPinned: boolean
}

export type Proof = Repository & Link

export interface ProofLine extends Repository {
  readonly size: number
  readonly standing: 'proven' | 'made'
  readonly role?: 'config'
}
