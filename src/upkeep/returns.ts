/** Whether the bytes of a blob can be had again once they are gone, and from where: what cannot come back is not evicted. */

import { findRecipe } from '../convert/recipes.ts'
import type { Restorations } from '../convert/restorations.ts'
import { findEncoding, findFormat } from '../format/formats.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import type { Link } from '../ports/links.ts'
import type { Upstreams } from '../ports/upstream.ts'
import { listIn } from '../priorities/stored-lists.ts'

/** `from` and `lost` are for people. */
export type Return = { readonly from: string } | { readonly lost: string }

export interface ReturnsDeps {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly upstreams: Upstreams
  readonly offline: boolean
  readonly restorations: Pick<Restorations, 'findFolded'>
}

export class Returns {
  readonly #deps: ReturnsDeps

  constructor(deps: ReturnsDeps) {
    this.#deps = deps
  }

  async of(digest: Digest): Promise<Return> {
    const holders = await this.#deps.catalog.links.holders(digest)
    const origin = this.#originAmong(holders)
    if (origin !== undefined) return { from: origin }
    const made = holders.find(isMade)
    if (made !== undefined) return await this.#made(digest, made)
    return { lost: this.#whyLost(holders) }
  }

  /** Where an upstream has it, for people. */
  #originAmong(holders: readonly (Repository & Link)[]): string | undefined {
    const isReachable = ({ upstream, standing }: Repository & Link) =>
      standing === 'proven' &&
      !this.#deps.offline &&
      this.#deps.upstreams.find(upstream) !== undefined
    const origin = holders.find(isReachable)
    return origin && `${fullName(origin)}`
  }

  /** A blob without a recipe of its own was made of several layers, and is made again with the image that names it. */
  async #made(digest: Digest, { mediaType, role }: Link): Promise<Return> {
    const isPiece =
      mediaType === undefined &&
      role !== 'config' &&
      (await this.#deps.catalog.conversions.findLayerByTarget(digest)) !== undefined
    return isPiece ? await this.#remade(digest) : await this.#rewritten(digest)
  }

  /** What is made of a whole image is written again from its source's, by what is recorded of its layers. */
  async #rewritten(digest: Digest): Promise<Return> {
    const { conversions } = this.#deps.catalog
    const [target] = await conversions.listImages({ target: digest })
    const image = target ?? (await conversions.listImages({ output: digest })).at(0)
    if (image === undefined) return { lost: 'its recipe is not known' }
    const { format, revision } = image.recipe
    if (findFormat(format)?.revision !== revision) {
      return { lost: `it was made by revision ${revision} of ${format}` }
    }
    const origin = this.#originAmong(await this.#deps.catalog.links.holders(image.source))
    if (origin !== undefined) return { from: `its source in ${origin}` }
    return { lost: `its source ${image.source} cannot be had from any upstream` }
  }

  async #remade(digest: Digest): Promise<Return> {
    const recipe = await findRecipe(this.#deps.catalog, digest)
    if ('lost' in recipe) return recipe
    const { source } = recipe.layer
    const list = listIn(recipe.layer.options)
    if (list !== undefined && !(await this.#isThere(list))) {
      return { lost: `its priority list ${list} is gone` }
    }
    // A recipe starts from an original: what was made is no source, so that the search ends here.
    const holders = await this.#deps.catalog.links.holders(source)
    const origin = this.#originAmong(holders)
    if (origin !== undefined) return { from: `its source in ${origin}` }
    const kept = await this.#keptAs(recipe.layer)
    if (kept !== undefined) return kept
    // A source that cannot come back is not evicted either, unless its name was removed.
    const held = await this.#deps.catalog.retention.describe(source)
    const stays = held !== undefined && !held.isReleased && !holders.some(isMade)
    if (stays && (await this.#isThere(source))) {
      return { from: `its source ${source} in the store` }
    }
    return { lost: `its source ${source} cannot be had: ${this.#whyLost(holders)}` }
  }

  /** A source that is not here as it came gives all forms but the one that it is kept as. */
  async #keptAs({ source, target, encoding }: ConvertedLayer): Promise<Return | undefined> {
    if (findEncoding(encoding)?.reads !== 'tar') return undefined
    const found = await this.#deps.restorations.findFolded(source)
    if (found === undefined || found.basis.target === target) return undefined
    const isThere = await Promise.all(
      [found.basis, found.corrections].map((one) => this.#isThere(one.target)),
    )
    if (isThere.includes(false)) return undefined
    return {
      from: `${found.basis.target} in the store, the ${found.basis.encoding} form of its source`,
    }
  }

  /** Something goes by the answer, so that what lies near does not count. */
  async #isThere(digest: Digest): Promise<boolean> {
    return (await this.#deps.store.stat(digest, { surely: true })) !== undefined
  }

  #whyLost(holders: readonly (Repository & Link)[]): string {
    const holder = holders.find(({ standing }) => standing === 'proven')
    if (holder === undefined) return 'nobody is known to have it'
    if (this.#deps.offline) return 'crossdock is offline'
    return `the upstream ${holder.upstream} is not configured`
  }
}

function isMade({ standing }: Link): boolean {
  return standing === 'made'
}
