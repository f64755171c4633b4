/** The catalog's part for the platforms that pullers take. */
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'

/** Platforms that pullers of a repository were seen to take. */
export interface PlatformCatalog {
  /** Those that were used at `since` or later, ms since 1970. */
  list(repository: Repository, since: number): Promise<readonly Platform[]>
  /** Learns it, or notes that it was used again, and forgets those that were not used since. True when it was not known before. */
  learn(repository: Repository, platform: Platform, at: number, since?: number): Promise<boolean>
}
