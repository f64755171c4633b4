/** Bytes that rotted or went missing, had again: from upstream, or by the conversion that made them, to the same digest. */
import type { Pulls } from '../convert/pulls.ts'
import type { Remaker } from '../convert/remaker.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Link } from '../ports/links.ts'
import type { Manifests } from '../pull/manifests.ts'

/** Texts for people: where the bytes came from, or why they did not come. */
export type Healing = { readonly from: string } | { readonly failed: string }

export interface HealerDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly remaker: Remaker
  readonly pulls: Pulls
}

export class Healer {
  readonly #deps: HealerDeps

  constructor(deps: HealerDeps) {
    this.#deps = deps
  }

  /** Call it when the bytes are out of the way. */
  async heal(digest: Digest): Promise<Healing> {
    const holders = await this.#deps.catalog.links.holders(digest)
    let failed = 'no repository is known to have it'
    for (const holder of holders.filter(({ standing }) => standing !== 'named')) {
      const where = `${fullName(holder)}`
      try {
        if (await this.#fetch(holder)) return { from: where }
        failed = `${where} does not give it any more`
      } catch (error) {
        failed = error instanceof Error ? error.message : String(error)
      }
    }
    return { failed }
  }

  async #fetch({ upstream, name, digest, mediaType, standing }: Repository & Link) {
    const repository = { upstream, name }
    if (mediaType === undefined) {
      const blob = await this.#deps.pulls.blob(repository, digest)
      await blob?.growing?.stored
    } else {
      // What is in memory still is as good as upstream's.
      const raw = await this.#deps.manifests.get(repository, digest).catch((error) => {
        if (standing === 'made') return undefined
        throw error
      })
      if (raw !== undefined) await this.#deps.manifests.put(raw)
      else if (standing === 'made') await this.#deps.remaker.remake(repository, digest)
    }
    return (await this.#deps.store.stat(digest)) !== undefined
  }
}
