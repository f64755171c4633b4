/** Which blobs names in the catalog lead to: what no name leads to any more when one was removed may go before its turn. */
import type { Digest } from '../oci/digest.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import { isMade } from '../ports/conversions.ts'
import type { Manifests } from '../pull/manifests.ts'
import { Below } from './below.ts'

export interface ReleasesDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly clock: Clock
}

export class Releases {
  readonly #deps: ReleasesDeps

  constructor(deps: ReleasesDeps) {
    this.#deps = deps
  }

  /** Runs `remove` and lets go of what only the removed names led to. */
  async after<T>(remove: () => Promise<T>): Promise<T> {
    const before = await this.#named()
    const result = await remove()
    const still = await this.#named()
    const released = [...before].filter((digest) => !still.has(digest))
    await this.#deps.catalog.usage.flush()
    await this.#deps.catalog.retention.release(released, this.#deps.clock.now())
    return result
  }

  /** Everything below every tag, conversions included. */
  async #named(): Promise<ReadonlySet<Digest>> {
    const { conversions } = this.#deps.catalog
    // Corrections, and often the form that an original is kept as, are in no image.
    const beside = async (blob: Digest) =>
      (await conversions.listLayers(blob)).filter(isMade).map(({ target }) => target)
    const below = new Below(this.#deps.manifests, { conversions, beside })
    for await (const { upstream, name, digest } of this.#deps.catalog.tags.list()) {
      await below.follow({ repository: { upstream, name }, digest })
    }
    return below.found
  }
}
