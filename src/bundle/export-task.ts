/** What an export is asked for. */
import type { StageTask } from '../convert/staging.ts'
import type { Digest } from '../oci/digest.ts'
import type { IdentifiedBundle } from './description.ts'
import type { OuterOptions } from './outer-compression.ts'

export interface ExportTask {
  readonly images: readonly ExportItem[]
  readonly withSources: boolean
  /**
   * Whether every image travels as its original, of which the far side makes other forms but for those that are the tars themselves,
   * and gzip layers as tars that the far side makes them of again.
   */
  readonly restoreDigests: boolean
  /** `docker`: what `docker load` of any version reads, and nothing of the OCI layout. */
  readonly format: 'oci' | 'docker'
  /** Bundles that the far side has already. */
  readonly since: readonly PriorBundle[]
  readonly target: ExportTarget
  /** True: the first image that fails ends it, and nothing is written. */
  readonly failFast?: boolean
}

export interface ExportItem extends StageTask {
  /** As it is to be called in the bundle, without profile suffix: default is the reference's own name. */
  readonly name?: string | undefined
}

export type ExportTarget =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 'archive'
      readonly path: string
      readonly outer: OuterOptions
      /** Bytes of a volume. */
      readonly split?: number | undefined
    }

/** What a delta need not carry. */
export interface PriorBundle {
  readonly name: string
  /** `undefined`: some other tool made it. */
  readonly bundle: IdentifiedBundle | undefined
  readonly blobs: ReadonlySet<Digest>
}
