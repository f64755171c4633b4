/** What an export is asked for. */
import type { StageTask } from '../convert/staging.ts'
import type { Digest } from '../oci/digest.ts'
import type { IdentifiedBundle } from './description.ts'
import type { OuterOptions } from './outer-compression.ts'

export interface ExportTask {
  readonly images: readonly ExportItem[]
  readonly withSources: boolean
  readonly restore: RestoreMode
  /** `docker`: what `docker load` of any version reads, and nothing of the OCI layout. */
  readonly format: 'oci' | 'docker'
  /** Bundles that the far side has already. */
  readonly since: readonly PriorBundle[]
  readonly target: ExportTarget
  /** True: the first image that fails ends it, and nothing is written. */
  readonly failFast?: boolean
}

/**
 * `off`: layers travel as they are. `layers`: gzip layers that travel do so as tars that the far side makes them of again.
 * `originals`: besides, every image travels as its original; forms of it are made of that behind the gap, but for those that are
 * the tars themselves.
 */
export type RestoreMode = 'off' | 'layers' | 'originals'

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
