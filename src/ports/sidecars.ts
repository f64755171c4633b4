/** The port for what lies beside every manifest in the store. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { ConvertedImage } from './conversions.ts'

/** A place where a manifest was seen or for which it was made. */
export interface Place extends Repository {
  /** Tag -> when it was last known to name this manifest, ms since 1970; after a rebuild the youngest claim wins. */
  readonly tags: Readonly<Record<string, number>>
  /** Profile -> priority list that an import brought for this manifest. */
  readonly lists?: Readonly<Record<string, Digest>> | undefined
}

/**
 * What lies beside every manifest in the store, so that the catalog can be rebuilt from the store alone.
 * Written durably before the catalog row.
 */
export interface Sidecar {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly places: readonly Place[]
  /** Present on a converted manifest or config: how it was made. */
  readonly conversion?: ConvertedImage | undefined
}

export interface SidecarStore {
  read(digest: Digest): Promise<Sidecar | undefined>
  /**
   * Reads, changes and writes one sidecar durably, as if one caller came after the other; `undefined` from `change` removes it.
   * `change` is pure: it is called again with what another has written meanwhile, and its last result counts. `isNew`: there is
   * hardly one yet, so that a store that is far away writes without a look first.
   */
  update(
    digest: Digest,
    change: (current: Sidecar | undefined) => Sidecar | undefined,
    isNew?: boolean,
  ): Promise<Sidecar | undefined>
  list(): AsyncIterable<Sidecar>
}
