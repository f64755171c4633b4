/** Descriptors in manifests, image-spec 1.1 "descriptor.md": read as Go clients read them, within the limits. */
import { CrossdockError } from '../errors.ts'
import { type Digest, digestOf, isDigest } from './digest.ts'
import { Fields } from './fields.ts'
import type { JsonObject } from './json.ts'
import { DESCRIPTOR_KEYS, PLATFORM_KEYS } from './key-case.ts'

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

/** Digests of nothing: the only blobs of size 0. */
const EMPTY_DIGESTS: ReadonlySet<Digest> = new Set([
  digestOf(new Uint8Array(), 'sha256'),
  digestOf(new Uint8Array(), 'sha512'),
])

/** Throws `badManifest` or `badSize`; `what` is described, for messages: `layers[0] in manifest sha256:...`. */
export function parseDescriptor(
  raw: JsonObject,
  what: string,
  limits: { readonly maxBlobBytes: number },
): Descriptor {
  const fields = new Fields(raw, what, DESCRIPTOR_KEYS)
  const digest = fields.string('digest')
  if (!isDigest(digest)) {
    throw fields.wrong(
      'digest',
      `is ${quote(digest)}, not sha256:<64 hex> or sha512:<128 hex>`,
      'digest',
    )
  }
  const size = fields.size('size')
  if (size > limits.maxBlobBytes)
    throw tooLarge(what, `${size} bytes`, limits.maxBlobBytes, 'blobSize')
  if (size === 0 && !EMPTY_DIGESTS.has(digest)) {
    throw new CrossdockError('badSize', `${what} says that ${digest} is empty, which it is not`, {
      reason: 'size-zero',
    })
  }
  const platform = fields.optionalObject('platform')
  return {
    mediaType: fields.string('mediaType'),
    digest,
    size,
    urls: fields.optionalStrings('urls'),
    annotations: fields.optionalStringMap('annotations'),
    platform: platform && readPlatform(platform, what),
    artifactType: fields.optionalString('artifactType') || undefined,
  }
}

/** Half a platform matches nobody's; one that says nothing is none. */
function readPlatform(raw: JsonObject, what: string): Platform | undefined {
  const fields = new Fields(raw, what, PLATFORM_KEYS)
  const os = fields.optionalString('os')
  const architecture = fields.optionalString('architecture')
  if (!os && !architecture) return undefined
  return {
    os: os || 'unknown',
    architecture: architecture || 'unknown',
    variant: fields.optionalString('variant') || undefined,
    osVersion: fields.optionalString('os.version') || undefined,
  }
}

/** Of more bytes than a limit allows. */
export function tooLarge(
  what: string,
  found: string,
  max: number,
  limit: 'imageSize' | 'blobSize',
): CrossdockError {
  return new CrossdockError(
    'badSize',
    `${what} has ${found}, more than the ${max} allowed; raise limits.${limit} if it is real`,
    { reason: 'too-large' },
  )
}

/** As much of a foreign text as a message shows. */
export function quote(text: string): string {
  return JSON.stringify(text.slice(0, 160))
}
