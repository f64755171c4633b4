/** What a catalog lets itself be told when it is made again from the store, whatever engine it lies on, as types only. */
import type { Repository } from '../oci/repository.ts'
import type { Platform } from '../oci/manifest.ts'
import type { ConvertedImage, ConvertedLayer } from '../ports/conversions.ts'
import type { Link } from '../ports/links.ts'
import type { KnownTag } from '../ports/tags.ts'

/** Of all: what says nothing new leaves times as they are, and nothing is told to the journal again. */
export interface Puts {
  links(repository: Repository, links: readonly Link[]): void
  /** The youngest claim wins, since several manifests may claim a tag that has moved. */
  claim(repository: Repository, tag: string, record: KnownTag): void
  /** Forgets the tag unless it was claimed after `at`, ms since 1970. */
  disclaim(repository: Repository, tag: string, at: number): void
  /** One whose time nobody wrote down counts as used now. */
  platform(repository: Repository, platform: Platform, at?: number): void
  /** The image, the recipes of its layers, and what it opens. */
  image(image: ConvertedImage): void
  /** Of a layer that no image names. */
  recipe(layer: ConvertedLayer): void
}

export interface Rebuilt {
  /** Writes all that `work` puts, or nothing; some hundreds of rows, so that it holds up nobody for long. */
  tell(work: (put: Puts) => void): Promise<void>
}
