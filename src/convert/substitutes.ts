/** Behind an air gap, where a bundle may have brought a converted image without the layers of its source. */
import { isAttestation } from '../oci/image-kind.ts'
import { findMediaType } from '../oci/media-type.ts'
import type { Catalog, ConvertedImage, RawManifest, Repository } from '../ports.ts'
import type { Blobs } from '../pull/blobs.ts'
import { isSameRepository, type Manifests } from '../pull/manifests.ts'

export class Substitutes {
  readonly #catalog: Catalog
  readonly #manifests: Manifests
  readonly #blobs: Blobs

  constructor(deps: {
    readonly catalog: Catalog
    readonly manifests: Manifests
    readonly blobs: Blobs
  }) {
    this.#catalog = deps.catalog
    this.#manifests = deps.manifests
    this.#blobs = deps.blobs
  }

  /**
   * The newest conversion of a source that cannot be served itself, nor converted in any other way; of this profile when
   * one is given. `undefined`: the source is whole, or there is no conversion.
   */
  async find(
    repository: Repository,
    source: RawManifest,
    profile?: string,
  ): Promise<RawManifest | undefined> {
    if (await this.#isWhole(repository, source)) return undefined
    const made = await this.#catalog.conversions.listImages({ source: source.digest })
    const fitting = made
      .filter((one) => isSameRepository(one.repository, repository))
      .filter((one) => profile === undefined || one.profile === profile)
      .sort(newestFirst)
    for (const { target } of fitting) {
      const raw = await this.#manifests.findLocal(repository, target)
      if (raw !== undefined) return raw
    }
    return undefined
  }

  /** Whether all layers of it lie here; of an index, those of every image whose manifest came along. */
  async #isWhole(repository: Repository, raw: RawManifest): Promise<boolean> {
    const manifest = this.#manifests.parse(raw)
    if (manifest.kind === 'image') {
      for (const { digest, mediaType } of manifest.layers) {
        if (findMediaType(mediaType)?.foreign) continue
        if ((await this.#blobs.openStored(digest)) === undefined) return false
      }
      return true
    }
    let found = 0
    for (const child of manifest.manifests) {
      const childRaw = await this.#manifests.findLocal(repository, child.digest)
      if (childRaw === undefined || isAttestation(child)) continue
      if (!(await this.#isWhole(repository, childRaw))) return false
      found += 1
    }
    return found > 0
  }
}

function newestFirst(a: ConvertedImage, b: ConvertedImage): number {
  return b.convertedAt - a.convertedAt || (a.target < b.target ? -1 : 1)
}
