/** Notes what was served, so that eviction takes the rest: a manifest that was handed out counts for every blob it names. */
import { LRUCache } from 'lru-cache'
import type { Digest } from '../oci/digest.ts'
import { blobsOf, childrenOf, type Outline, referredBy } from '../oci/outline.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { RawManifest } from '../ports/upstream.ts'

/** A manifest's blobs are touched again after this part of the lease, or after a minute, ms. */
const LEASE_PART = 0.25
const MOST_MS = 60_000

export interface TouchesDeps {
  readonly catalog: Catalog
  readonly outline: (raw: RawManifest) => Outline
  readonly clock: Clock
  readonly policy: { readonly leaseMs: number }
}

export class Touches {
  readonly #deps: TouchesDeps
  /** When the blobs of a manifest were touched last, monotonic ms. */
  readonly #manifests = new LRUCache<Digest, number>({ max: 20_000 })

  constructor(deps: TouchesDeps) {
    this.#deps = deps
  }

  blob(digest: Digest): void {
    this.#deps.catalog.usage.touch(digest, this.#deps.clock.now())
  }

  manifest(raw: RawManifest): void {
    const now = this.#deps.clock.monotonic()
    const last = this.#manifests.get(raw.digest)
    if (last !== undefined && now - last < this.#everyMs) return
    this.#manifests.set(raw.digest, now)
    for (const digest of [raw.digest, ...this.#named(raw)]) this.blob(digest)
  }

  get #everyMs(): number {
    return Math.min(MOST_MS, this.#deps.policy.leaseMs * LEASE_PART)
  }

  #named(raw: RawManifest): readonly Digest[] {
    const outline = this.#deps.outline(raw)
    const listed = [...childrenOf(outline), ...blobsOf(outline)].map(({ digest }) => digest)
    return [...listed, ...referredBy(outline)]
  }
}
