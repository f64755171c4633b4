/** Which blobs names in the catalog lead to: what no name leads to any more when one was removed may go before its turn. */
import { Walk } from '../lib/walk.ts'
import type { Digest } from '../oci/digest.ts'
import { blobsOf, childrenOf } from '../oci/outline.ts'
import type { Catalog, Clock, Repository } from '../ports.ts'
import type { Manifests } from '../pull/manifests.ts'

interface Named {
  readonly repository: Repository
  readonly digest: Digest
}

export class Releases {
  readonly #catalog: Catalog
  readonly #manifests: Manifests
  readonly #clock: Clock

  constructor(deps: {
    readonly catalog: Catalog
    readonly manifests: Manifests
    readonly clock: Clock
  }) {
    this.#catalog = deps.catalog
    this.#manifests = deps.manifests
    this.#clock = deps.clock
  }

  /** Runs `remove` and lets go of what only the removed names led to. */
  async after<T>(remove: () => Promise<T>): Promise<T> {
    const before = await this.#named()
    const result = await remove()
    const still = await this.#named()
    const released = [...before].filter((digest) => !still.has(digest))
    await this.#catalog.usage.flush()
    await this.#catalog.retention.release(released, this.#clock.now())
    return result
  }

  /** Everything below every tag, conversions included. */
  async #named(): Promise<Set<Digest>> {
    const found = new Set<Digest>()
    // Each manifest once, whoever names it: there are no more than the store holds.
    const walk = new Walk('the catalog', Number.POSITIVE_INFINITY)
    for await (const { upstream, name, digest } of this.#catalog.tags.list()) {
      await this.#follow(walk, { repository: { upstream, name }, digest }, found)
    }
    return found
  }

  async #follow(walk: Walk, root: Named, found: Set<Digest>): Promise<void> {
    const open = [root]
    for (let named = open.pop(); named !== undefined; named = open.pop()) {
      const { repository, digest } = named
      if (!(await walk.enter(digest))) continue
      found.add(digest)
      const raw = await this.#manifests.findLocal(repository, digest)
      if (raw === undefined) continue
      for (const made of await this.#catalog.conversions.listImages({ source: digest })) {
        open.push({ repository: made.repository, digest: made.target })
      }
      const outline = this.#manifests.outline(raw)
      for (const child of childrenOf(outline)) open.push({ repository, digest: child.digest })
      for (const blob of blobsOf(outline)) found.add(blob.digest)
    }
  }
}
