/** Manifests, indexes and image configs of image-spec 1.1 and Docker schema 2, parsed once into values that cannot be wrong. */
import type { Digest } from './digest.ts'

/** image-spec "descriptor.md". Unknown fields stay in the raw JSON, which rewriting works on. */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly urls?: readonly string[] | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  readonly platform?: Platform | undefined
  readonly artifactType?: string | undefined
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string | undefined
  readonly osVersion?: string | undefined
}
