/** The catalog's parts for what was used when, and how long it stays. */
import type { Digest } from '../oci/digest.ts'
import type { Fence } from './shared-turns.ts'

/** When what was served last. Cheap: touches are collected and written now and then. */
export interface UsageCatalog {
  touch(digest: Digest, at: number): void
  find(digest: Digest): Promise<number | undefined>
  flush(): Promise<void>
}

/** What decides how long a blob stays. */
export interface Retention {
  /** By whatever links to it: a manifest, an image's config, or anything else. */
  readonly role: 'manifest' | 'config' | 'layer'
  /** When it was last served or linked, ms since 1970. */
  readonly touchedAt: number
  /** True when its name was forgotten, and nobody has asked for it since. */
  readonly isReleased: boolean
}

export interface RetentionCatalog {
  /** `undefined`: nothing links to it. */
  describe(digest: Digest): Promise<Retention | undefined>
  /** Lets a blob go at the next collection, unless it is touched or linked again after `at`, ms since 1970. */
  release(digests: readonly Digest[], at: number): Promise<void>
  /**
   * Asks to delete a blob that was looked at when its last touch was at `seen`, ms since 1970, in one step: false when it was
   * touched or linked after that; otherwise a manifest or config is released as of `at`, so that whoever verifies the store sees
   * that it was let go and not lost. A touch that another process has not flushed yet does not count. Throws `lease-lost` when the
   * fence's lease is not held under its token.
   */
  claimForDeletion(digest: Digest, seen: number, at: number, fence?: Fence): Promise<boolean>
  /** When a chore was last done, ms since 1970. */
  lastDone(chore: string): Promise<number | undefined>
  /** Throws `lease-lost` as above. */
  done(chore: string, at: number, fence?: Fence): Promise<void>
}
