/** Pure: which media type a manifest has, going by the header, or by the document where the header says nothing. */
import { CrossdockError } from '../errors.ts'
import { parseObject } from './json.ts'

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const MANIFEST_TYPES: readonly string[] = [
  IMAGE,
  INDEX,
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.artifact.manifest.v1+json',
]
/** What static file servers and object stores say. */
const MEANINGLESS = new Set([
  undefined,
  'application/json',
  'application/octet-stream',
  'binary/octet-stream',
  'text/plain',
])
const VENDOR = /^application\/vnd\.[a-z0-9.+-]+(?:\+json|\+prettyjws|json)$/

export const ACCEPT: string = MANIFEST_TYPES.join(', ')

/** Throws `badManifest` when it is none, or header and document contradict each other. */
export function manifestTypeOf(
  contentType: string | undefined,
  bytes: Uint8Array,
  what: string,
): string {
  if (!MEANINGLESS.has(contentType) && !VENDOR.test(contentType ?? '')) {
    throw refuse(what, `has the media type ${JSON.stringify(contentType?.slice(0, 80))}`)
  }
  const document = parseObject(bytes, what)
  const declared = document.mediaType
  if (MEANINGLESS.has(contentType)) return fromDocument(document, declared, what)
  if (typeof declared === 'string' && declared !== contentType) {
    const text = `comes as ${contentType}, but says itself to be ${JSON.stringify(declared.slice(0, 80))}`
    throw refuse(what, text)
  }
  return contentType ?? IMAGE
}

function fromDocument(
  document: Readonly<Record<string, unknown>>,
  declared: unknown,
  what: string,
): string {
  if (typeof declared === 'string' && VENDOR.test(declared)) return declared
  if (Array.isArray(document.manifests)) return INDEX
  if (Array.isArray(document.layers) && 'config' in document) return IMAGE
  throw refuse(what, 'says nowhere what it is')
}

function refuse(what: string, text: string): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `${what}: the document ${text}; check what the registry serves, and the URL of this upstream`,
    { reason: 'media-type' },
  )
}
