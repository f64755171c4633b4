/** What pins keep in the store: everything below the manifests that their names lead to now. */
import type { Profiles } from '../config/profiles.ts'
import type { Restorations } from '../convert/restorations.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { splitSuffix } from '../oci/reference.ts'
import { isSameRepository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Pin, Pins } from '../ports/pins.ts'
import type { Manifests } from '../pull/manifests.ts'
import { Below } from './below.ts'

export interface PinnedDeps {
  readonly pins: Pins
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly profiles: Profiles
  readonly restorations: Pick<Restorations, 'findFolded'>
}

export class Pinned {
  readonly #deps: PinnedDeps

  constructor(deps: PinnedDeps) {
    this.#deps = deps
  }

  /** Of all pins; a name that is not in the store keeps nothing. */
  async digests(): Promise<ReadonlySet<Digest>> {
    return await this.below(await this.#deps.pins.list())
  }

  async below(pins: readonly Pin[]): Promise<ReadonlySet<Digest>> {
    const below = new Below(this.#deps.manifests, { beside: (blob) => this.#keptAs(blob) })
    for (const pin of pins) {
      const { upstream, name } = pin
      const digest = await this.find(pin)
      if (digest !== undefined) await below.follow({ repository: { upstream, name }, digest })
    }
    return below.found
  }

  /** What a layer is made again from, where it is not kept as it came. */
  async #keptAs(blob: Digest): Promise<readonly Digest[]> {
    const from = await this.#deps.restorations.findFolded(blob)
    return from === undefined ? [] : [from.basis.target, from.corrections.target]
  }

  /** What a puller of the name gets as long as nothing changes upstream; `undefined`: it is not in the store. */
  async find({ upstream, name, reference }: Pin): Promise<Digest | undefined> {
    const repository = { upstream, name }
    if (isDigest(reference)) {
      return (await this.#deps.manifests.findLocal(repository, reference))?.digest
    }
    const literal = await this.#deps.catalog.tags.find(repository, reference)
    if (literal !== undefined) return literal.digest
    const split = splitSuffix(reference, this.#deps.profiles.suffixes)
    const profile = split && this.#deps.profiles.find(split.suffix)
    const source = split && (await this.#deps.catalog.tags.find(repository, split.base))
    if (profile === undefined || source === undefined) return undefined
    if (profile.format === undefined) return source.digest
    const made = await this.#deps.catalog.conversions.listImages({ source: source.digest })
    return made.findLast(
      (one) => one.recipe.profile === profile.name && isSameRepository(one.repository, repository),
    )?.target
  }
}
