/**
 * Behind an air gap, where a bundle may have brought a converted image without the layers of its source: what to hand out
 * instead, and what to convert from.
 */
import { findFormat } from '../format/formats.ts'
import { isChosen } from '../oci/chosen-children.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Blobs } from '../pull/blobs.ts'
import { walkManifests } from '../pull/manifest-walk.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { ImageTask } from './image-task.ts'
import type { Origins } from './origins.ts'

export type Remedy =
  /** A form of the profile that was carried. */
  | { readonly kind: 'carried'; readonly raw: RawManifest }
  /** To convert from: the source, or a carried form of the same files when the profile keeps layers that are not here. */
  | { readonly kind: 'convert'; readonly from: RawManifest }
  /** Nothing here gives it; `forms` names the profiles of what there is. */
  | { readonly kind: 'absent'; readonly forms: readonly string[] }

type IsHere = (layer: Descriptor) => Promise<boolean>

export interface SubstitutesDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly origins: Origins
}

export class Substitutes {
  readonly #deps: SubstitutesDeps

  constructor(deps: SubstitutesDeps) {
    this.#deps = deps
  }

  /** The newest conversion of a source that cannot be served itself. `undefined`: it can be, or there is no conversion. */
  async find(repository: Repository, source: RawManifest): Promise<RawManifest | undefined> {
    if (await this.#isWhole(repository, source)) return undefined
    for (const made of await this.#conversions(repository, source)) {
      const raw = await this.#deps.manifests.findLocal(repository, made.target)
      if (raw !== undefined) return raw
    }
    return undefined
  }

  /** The profiles of what there is in place of an original that is not here as a whole; `undefined`: it is. */
  async formsInstead(
    repository: Repository,
    source: RawManifest,
  ): Promise<readonly string[] | undefined> {
    if (await this.#isWhole(repository, source)) return undefined
    const made = await this.#conversions(repository, source)
    return [...new Set(made.map(({ recipe }) => recipe.profile))]
  }

  /** How to come by what a task asks for, which was not made here before. */
  async remedy(task: ImageTask): Promise<Remedy> {
    const { repository, source, format, options, profile } = task
    if (await this.#isWhole(repository, source)) return { kind: 'convert', from: source }
    const forms: { readonly made: ConvertedImage; readonly raw: RawManifest }[] = []
    for (const made of await this.#conversions(repository, source)) {
      const raw = await this.#deps.manifests.findLocal(repository, made.target)
      if (raw === undefined) continue
      if (made.recipe.profile === profile) return { kind: 'carried', raw }
      forms.push({ made, raw })
    }
    const isReadable: IsHere = (layer) =>
      format.deed(layer, true, options) === 'replace'
        ? this.#deps.origins.isHere(repository, layer.digest)
        : this.#isStored(layer)
    if (await this.#hasLayers(task, source, isReadable)) return { kind: 'convert', from: source }
    for (const { made, raw } of forms) {
      // What changed the tars holds other files than its source.
      if (findFormat(made.recipe.format)?.encoding.tar !== 'kept') continue
      if (await this.#isWhole(repository, raw)) return { kind: 'convert', from: raw }
    }
    return { kind: 'absent', forms: [...new Set(forms.map(({ made }) => made.recipe.profile))] }
  }

  /** Newest first. */
  async #conversions(repository: Repository, source: RawManifest): Promise<ConvertedImage[]> {
    const made = await this.#deps.catalog.conversions.listImages({ source: source.digest })
    return made.filter((one) => isSameRepository(one.repository, repository)).sort(newestFirst)
  }

  async #isWhole(repository: Repository, raw: RawManifest): Promise<boolean> {
    const task = { repository, platforms: 'all' as const }
    return await this.#hasLayers(task, raw, (layer) => this.#isStored(layer))
  }

  /** Whether all layers are here; of an index, those of every image that is wanted and whose manifest came along. */
  async #hasLayers(
    { repository, platforms }: Pick<ImageTask, 'repository' | 'platforms'>,
    raw: RawManifest,
    isHere: IsHere,
  ): Promise<boolean> {
    let found = 0
    const visits = walkManifests(raw, {
      outline: (one) => this.#deps.manifests.outline(one),
      beyond: 'stop',
      follows: (child) => isChosen(child, platforms),
      load: ({ digest }) => this.#deps.manifests.findLocal(repository, digest),
    })
    for await (const { manifest } of visits) {
      if (manifest.kind !== 'image') continue
      for (const layer of manifest.layers) {
        if (findMediaType(layer.mediaType)?.foreign) continue
        if (!(await isHere(layer))) return false
      }
      found += 1
    }
    return found > 0
  }

  async #isStored({ digest }: Descriptor): Promise<boolean> {
    if ((await this.#deps.blobs.openStored(digest)) !== undefined) return true
    return await this.#deps.blobs.isFolded(digest)
  }
}

function newestFirst(a: ConvertedImage, b: ConvertedImage): number {
  return b.convertedAt - a.convertedAt || (a.target < b.target ? -1 : 1)
}
