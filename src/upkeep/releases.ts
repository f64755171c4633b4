/** Which blobs names in the catalog lead to: what no name leads to any more when one was removed may go before its turn. */
import type { Digest } from '../oci/digest.ts'
import type { Catalog, Clock, Repository } from '../ports.ts'
import type { Manifests } from '../pull/manifests.ts'

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
    for await (const { upstream, name, digest } of this.#catalog.tags.list()) {
      await this.#walk({ upstream, name }, digest, found)
    }
    return found
  }

  async #walk(repository: Repository, digest: Digest, found: Set<Digest>): Promise<void> {
    if (found.has(digest)) return
    found.add(digest)
    const raw = await this.#manifests.findLocal(repository, digest)
    if (raw === undefined) return
    for (const made of await this.#catalog.conversions.listImages({ source: digest })) {
      await this.#walk(made.repository, made.target, found)
    }
    const manifest = this.#manifests.parse(raw)
    if (manifest.kind === 'image') {
      for (const blob of [manifest.config, ...manifest.layers]) found.add(blob.digest)
      return
    }
    for (const child of manifest.manifests) await this.#walk(repository, child.digest, found)
  }
}
