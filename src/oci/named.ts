/** What a manifest or index names, read without judging it: what was let in once, and what is only passed on, is not judged again. */
import { type Digest, isDigest } from './digest.ts'

/** A descriptor in a manifest, as far as a store needs it. */
export interface Named {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  /** Present for the children of an index. */
  readonly mediaType?: string
  /** Present for an image's config. */
  readonly role?: 'config'
}

/** Children of an index; config and layers of an image, in this order. Descriptors without digest and size are left out. */
export function namedIn(document: unknown): readonly Named[] {
  if (!isObject(document)) return []
  const { manifests, config, layers } = document
  if (Array.isArray(manifests)) return manifests.flatMap((one) => child(one))
  const configs = blob(config).map((one): Named => ({ ...one, role: 'config' }))
  return [...configs, ...(Array.isArray(layers) ? layers : []).flatMap((one) => blob(one))]
}

function child(value: unknown): Named[] {
  const mediaType = isObject(value) ? value.mediaType : undefined
  return typeof mediaType === 'string' ? blob(value).map((one) => ({ ...one, mediaType })) : []
}

function blob(value: unknown): Named[] {
  if (!isObject(value)) return []
  const { digest, size } = value
  const isSound =
    typeof digest === 'string' &&
    isDigest(digest) &&
    Number.isSafeInteger(size) &&
    Number(size) >= 0
  return isSound ? [{ digest, size: Number(size) }] : []
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
