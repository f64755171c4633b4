/** What no sidecar says, so that a rebuilt catalog opens no more and no less than the lost one, as types only. */
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { ConvertedLayer } from './conversions.ts'
import type { Link } from './links.ts'
import type { Pin } from './pins.ts'

/** That a repository has proven or made a blob. A manifest that names one proves nothing: anybody can push one. */
export type Proof = Repository & ProvenLink

export interface ProvenLink extends Link {
  readonly standing: 'proven' | 'made'
}

/** Claims of this tag that are no younger than `at` (ms since 1970) are void. */
export interface ForgottenTag extends Repository {
  readonly tag: string
  readonly at: number
}

export interface LearnedPlatform extends Repository {
  readonly platform: Platform
  /** When it was learned or used, ms since 1970; older journals do not say. */
  readonly at?: number
}

/**
 * Facts beside the catalog. Each is durable when its promise resolves, says the same when it is told twice, and may be listed
 * more than once; of what was told of one tag or platform at several times, at least the latest is listed.
 */
export interface Journal {
  /** For configs and layers; manifests have sidecars that say it. */
  prove(repository: Repository, links: readonly ProvenLink[]): Promise<void>
  /** A tag that has moved is claimed by every manifest it ever named; none of them may bring it back. */
  forgetTag(repository: Repository, tag: string, at: number): Promise<void>
  learnPlatform(repository: Repository, platform: Platform, at: number): Promise<void>
  pin(name: Pin, isPinned: boolean): Promise<void>
  /** For blobs that no converted image names, so that no sidecar says what they are made of. */
  keepRecipe(layer: ConvertedLayer): Promise<void>
  /** All of one blob. */
  findProofs(digest: Digest): Promise<readonly Proof[]>
  listProofs(): AsyncIterable<Proof>
  listForgotten(): AsyncIterable<ForgottenTag>
  listPlatforms(): AsyncIterable<LearnedPlatform>
  listRecipes(): AsyncIterable<ConvertedLayer>
  /** Those that are pinned now, in the order in which they were. */
  listPins(): AsyncIterable<Pin>
}
