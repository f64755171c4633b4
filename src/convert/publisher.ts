/** Makes a converted manifest known: the one way in, for conversions of our own and for those that a bundle brings. */

import { isSameRepository } from '../oci/repository.ts'
import { outputsOf } from '../outputs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Sidecar, SidecarStore } from '../ports/sidecars.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Beside } from './assembly.ts'

const NOTHING: Beside = { documents: [], blobs: [] }

/** How a manifest was made. */
export type Making = Pick<
  ConvertedImage,
  'repository' | 'source' | 'recipe' | 'layers' | 'convertedAt' | 'seconds'
>

export interface PublisherDeps {
  readonly manifests: Manifests
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
}

export class Publisher {
  readonly #deps: PublisherDeps

  constructor(deps: PublisherDeps) {
    this.#deps = deps
  }

  /**
   * `target` is what was made of `source`; everything that it names is in the store already. Bytes, sidecar, then catalog: a crash in between leaves nothing that is named but not there, and what the catalog
   * lacks is converted again, to the same bytes.
   */
  async publish(
    target: RawManifest,
    source: RawManifest,
    making: Making,
    { documents, blobs }: Beside = NOTHING,
  ): Promise<ConvertedImage> {
    const { digest, mediaType, bytes } = target
    const { repository, layers } = making
    const documentOf = (raw: RawManifest) => this.#deps.manifests.parse(raw).raw
    const image: ConvertedImage = {
      ...making,
      target: digest,
      size: bytes.byteLength,
      mediaType,
      outputs: outputsOf({
        target: documentOf(target),
        source: documentOf(source),
        layers,
        beside: documents.map((raw) => ({ raw, document: documentOf(raw) })),
        blobs,
      }),
    }
    const isNew = await this.#deps.manifests.put(target)
    const change = (current: Sidecar | undefined) => {
      const places = current?.places ?? []
      const isPlaced = places.some((place) => isSameRepository(place, repository))
      return {
        digest,
        size: image.size,
        mediaType,
        places: isPlaced ? places : [...places, { ...repository, tags: {} }],
        conversion: image,
      }
    }
    await this.#deps.sidecars.update(digest, change, isNew)
    await this.#deps.catalog.publish(image)
    return image
  }
}
