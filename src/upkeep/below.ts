/** Everything in the store that a manifest leads to. */
import { Turns } from '../lib/turns.ts'
import { Walk } from '../lib/walk.ts'
import type { Digest } from '../oci/digest.ts'
import { blobsOf, childrenOf, referredBy } from '../oci/outline.ts'
import type { Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Manifests } from '../pull/manifests.ts'

export interface Root {
  readonly repository: Repository
  readonly digest: Digest
}

/** Manifests that are followed until others have their turn. */
const FOLLOWED_IN_A_TURN = 25

/** Collects what lies below one root after the other, each manifest once. */
export class Below {
  readonly found = new Set<Digest>()
  readonly #manifests: Manifests
  readonly #conversions: Catalog['conversions'] | undefined
  readonly #beside: (blob: Digest) => Promise<readonly Digest[]>
  readonly #turns = new Turns(FOLLOWED_IN_A_TURN)
  // There are no more than the store holds.
  readonly #walk = new Walk('the catalog', Number.POSITIVE_INFINITY)

  /**
   * With `conversions`, what was made of a manifest counts as below it; `beside` gives what else belongs to one of the blobs, though
   * no manifest names it.
   */
  constructor(
    manifests: Manifests,
    more: {
      readonly conversions?: Catalog['conversions']
      readonly beside?: (blob: Digest) => Promise<readonly Digest[]>
    } = {},
  ) {
    this.#manifests = manifests
    this.#conversions = more.conversions
    this.#beside = more.beside ?? (async () => [])
  }

  async follow(root: Root): Promise<void> {
    const open = [root]
    for (let named = open.pop(); named !== undefined; named = open.pop()) {
      const { repository, digest } = named
      if (!(await this.#walk.enter(digest))) continue
      // What is remembered of manifests is read without any wait.
      await this.#turns.spend()
      this.found.add(digest)
      const raw = await this.#manifests.findLocal(repository, digest)
      if (raw === undefined) continue
      for (const made of (await this.#conversions?.listImages({ source: digest })) ?? []) {
        open.push({ repository: made.repository, digest: made.target })
      }
      const outline = this.#manifests.outline(raw)
      for (const child of childrenOf(outline)) open.push({ repository, digest: child.digest })
      for (const blob of blobsOf(outline)) {
        this.found.add(blob.digest)
        for (const one of await this.#beside(blob.digest)) this.found.add(one)
      }
      for (const blob of referredBy(outline)) this.found.add(blob)
    }
  }
}
