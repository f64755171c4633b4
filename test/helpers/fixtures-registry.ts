/** The reading side of a registry, as tests ask it: manifests with their headers, and what one image consists of. */
import { createHash } from 'node:crypto'

export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  readonly platform?: { readonly os: string; readonly architecture: string }
}

export interface ManifestDocument {
  readonly mediaType?: string
  readonly config?: Descriptor
  readonly layers?: readonly Descriptor[]
  readonly manifests?: readonly Descriptor[]
  readonly annotations?: Readonly<Record<string, string>>
}

export interface ManifestAnswer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly digest: string
  /** Empty unless the answer is 200. */
  readonly document: ManifestDocument
  readonly conversion: string
}

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  '*/*',
].join(', ')

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly method?: 'GET' | 'HEAD'
  /** `?ns=docker.io` */
  readonly query?: string
}

/** `image` is `HOST:PORT/NAME:TAG` or `HOST:PORT/NAME@DIGEST`. */
export async function readManifest(image: string, ask: Ask = {}): Promise<ManifestAnswer> {
  const { host, name, reference } = parseImage(image)
  const url = `http://${host}/v2/${name}/manifests/${reference}${ask.query ?? ''}`
  const response = await fetch(url, {
    method: ask.method ?? 'GET',
    headers: { accept: ACCEPT, ...ask.headers },
    ...(ask.signal && { signal: ask.signal }),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    digest: digestOf(bytes),
    document: response.status === 200 && bytes.length > 0 ? JSON.parse(bytes.toString()) : {},
    conversion: response.headers.get('crossdock-conversion') ?? '',
  }
}

/** The image manifest, through the index if there is one. */
export async function readImage(
  image: string,
  platform = 'linux/amd64',
  ask: Ask = {},
): Promise<ManifestAnswer> {
  const top = await readManifest(image, ask)
  if (top.status !== 200) throw new Error(`${image} is answered ${top.status}: ${top.bytes}`)
  const child = top.document.manifests?.find((one) => platformOf(one) === platform)
  if (child === undefined) return top
  const { host, name } = parseImage(image)
  return readManifest(`${host}/${name}@${child.digest}`, ask)
}

export async function readBlob(image: string, digest: string, ask: Ask = {}): Promise<Response> {
  const { host, name } = parseImage(image)
  return fetch(`http://${host}/v2/${name}/blobs/${digest}`, {
    method: ask.method ?? 'GET',
    headers: ask.headers ?? {},
    ...(ask.signal && { signal: ask.signal }),
  })
}

export interface ImageConfig {
  readonly rootfs: { readonly diff_ids: readonly string[] }
}

export async function readConfig(image: string): Promise<ImageConfig> {
  const { document } = await readImage(image)
  const response = await readBlob(image, document.config?.digest ?? '')
  return (await response.json()) as ImageConfig
}

export async function readTags(host: string, name: string, query = ''): Promise<readonly string[]> {
  const response = await fetch(`http://${host}/v2/${name}/tags/list${query}`)
  return ((await response.json()) as { tags: readonly string[] }).tags
}

export function platformOf(descriptor: Descriptor): string {
  return `${descriptor.platform?.os}/${descriptor.platform?.architecture}`
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** gzip, zstd, none, or the media type when it says nothing about compression. */
export function compressionOf({ mediaType }: Descriptor): string {
  if (/[.+]gzip$/.test(mediaType)) return 'gzip'
  if (/[.+]zstd$/.test(mediaType)) return 'zstd'
  return /(?:layer\.v1\.tar|diff\.tar)$/.test(mediaType) ? 'none' : mediaType
}

function parseImage(image: string) {
  const match = /^([^/]+)\/(.+?)(?:@(sha256:[0-9a-f]{64})|:([^/:]+))$/.exec(image)
  const [, host, name, digest, tag] = match ?? []
  const reference = digest ?? tag
  if (host === undefined || name === undefined || reference === undefined) {
    throw new Error(`not an image: ${image}`)
  }
  return { host, name, reference }
}
