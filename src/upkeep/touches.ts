/** Notes what was served, so that eviction takes the rest: a manifest that was handed out counts for every blob it names. */
import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import { blobsOf, childrenOf, type Outline } from '../oci/outline.ts'
import type { Catalog, Clock, RawManifest } from '../ports.ts'

/** A manifest's blobs are touched again after this part of the lease, or after a minute, ms. */
const LEASE_PART = 0.25
const MOST_MS = 60_000

export class Touches {
  readonly #catalog: Catalog
  readonly #outline: (raw: RawManifest) => Outline
  readonly #clock: Clock
  readonly #policy: { readonly leaseMs: number }
  /** When the blobs of a manifest were touched last, monotonic ms. */
  readonly #manifests = new LRUCache<Digest, number>({ max: 20_000 })

  constructor(deps: {
    readonly catalog: Catalog
    readonly outline: (raw: RawManifest) => Outline
    readonly clock: Clock
    readonly policy: { readonly leaseMs: number }
  }) {
    this.#catalog = deps.catalog
    this.#outline = deps.outline
    this.#clock = deps.clock
    this.#policy = deps.policy
  }

  blob(digest: Digest): void {
    this.#catalog.usage.touch(digest, this.#clock.now())
  }

  manifest(raw: RawManifest): void {
    const now = this.#clock.monotonic()
    const last = this.#manifests.get(raw.digest)
    if (last !== undefined && now - last < this.#everyMs) return
    this.#manifests.set(raw.digest, now)
    for (const digest of [raw.digest, ...this.#named(raw)]) this.blob(digest)
  }

  get #everyMs(): number {
    return Math.min(MOST_MS, this.#policy.leaseMs * LEASE_PART)
  }

  #named(raw: RawManifest): readonly Digest[] {
    const outline = this.#outline(raw)
    return [...childrenOf(outline), ...blobsOf(outline)].map(({ digest }) => digest)
  }
}
