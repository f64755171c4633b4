/** The catalog's part for which repository holds what. */
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

/** That a repository holds a manifest or blob; the only thing that opens cached bytes to a puller. */
export interface Link {
  readonly digest: Digest
  readonly size: number
  /** Present for manifests and indexes (their Content-Type); absent for configs and layers. */
  readonly mediaType?: string | undefined
  /**
   * `named`: a manifest of the repository names it, or it was made beside what one names; says the size, opens nothing.
   * `proven`: upstream served it (or vouched for it) under this repository's name, or an import brought it.
   * `made`: crossdock made it from something proven here.
   */
  readonly standing: 'named' | 'proven' | 'made'
  /** Present for configs of images, which are kept like manifests. */
  readonly role?: 'config' | undefined
}

export interface LinkCatalog {
  find(repository: Repository, digest: Digest): Promise<Link | undefined>
  /** Adds links in one transaction; a better standing (`made`, `proven`) replaces `named`, never the other way round. */
  record(repository: Repository, links: readonly Link[]): Promise<void>
  /** True when some repository of this upstream has a `proven` link to the digest. */
  isProvenAt(upstream: string, digest: Digest): Promise<boolean>
  /** Who links to a digest. */
  holders(digest: Digest): Promise<readonly (Repository & Link)[]>
}
