/** The port of the catalog: what is known of the store's bytes, by subject. */
import type { ConversionCatalog, ConvertedImage } from './conversions.ts'
import type { LinkCatalog } from './links.ts'
import type { PlatformCatalog } from './platforms.ts'
import type { RetentionCatalog, UsageCatalog } from './retention.ts'
import type { TagCatalog } from './tags.ts'

export interface Catalog extends AsyncDisposable {
  readonly tags: TagCatalog
  readonly links: LinkCatalog
  readonly conversions: ConversionCatalog
  readonly platforms: PlatformCatalog
  readonly usage: UsageCatalog
  readonly retention: RetentionCatalog
  /** Records a converted image, the recipes of its layers and the links of `linksOf`, all of it or nothing. */
  publish(image: ConvertedImage): Promise<void>
  /** Throws when the catalog cannot be read and written. */
  check(): Promise<void>
}
