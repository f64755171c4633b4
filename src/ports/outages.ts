/** What a store lies on beyond this machine, and since when it is away. */

/** `catalog`: PostgreSQL; `blobs`: S3. */
export type StorePart = 'catalog' | 'blobs'

/**
 * What of it cannot be used. `some`: it answers, and not all that is asked. `writes`: it gives what it has, and takes nothing new.
 */
export type OutageExtent = 'all' | 'some' | 'writes'

export interface Outage {
  readonly part: StorePart
  /** For people. */
  readonly where: string
  /** Ms since 1970. */
  readonly since: number
  /** With what it was found away last, and what to do. */
  readonly message: string
  readonly fails: OutageExtent
}

export interface Outages {
  /** Parts that may be away; none where all lies on this machine. */
  readonly parts: readonly StorePart[]
  /** Those that are, the longest first. */
  list(): readonly Outage[]
  /** Looks now and then whether they answer, also while nobody asks anything of them. */
  watch(): void
}
