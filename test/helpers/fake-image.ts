/** Makes whole images in one line: real tars, right digests and diffIDs, in the OCI or the Docker dialect. */
import { randomBytes } from 'node:crypto'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { type Digest, digestOf } from '../../src/oci/digest.ts'

export type Dialect = 'oci' | 'docker'
export type Compression = 'gzip' | 'zstd' | 'none'

export interface FakeLayer {
  readonly mediaType: string
  readonly digest: Digest
  readonly diffId: Digest
  readonly bytes: Uint8Array
  readonly tar: Uint8Array
  /** For the layer's descriptor. */
  readonly annotations?: Readonly<Record<string, string>>
}

export interface FakeFile {
  readonly name: string
  readonly body?: string | Uint8Array
  readonly type?: 'file' | 'directory' | 'symlink' | 'link'
  readonly linkname?: string
  readonly mode?: number
}

export interface LayerOptions {
  /** Files of the tar; without them one file of `size` random bytes. */
  readonly files?: readonly FakeFile[]
  /** A tar, byte for byte. */
  readonly tar?: Uint8Array
  /** Bytes; default 64 KiB. */
  readonly size?: number
  readonly compression?: Compression
  readonly dialect?: Dialect
}

export interface FakeManifest {
  readonly mediaType: string
  readonly digest: Digest
  readonly bytes: Uint8Array
}

export interface FakeImage extends FakeManifest {
  readonly config: { readonly digest: Digest; readonly bytes: Uint8Array }
  readonly layers: readonly FakeLayer[]
  /** `linux/amd64`, `linux/arm/v7`. */
  readonly platform: string
}

export interface FakeIndex extends FakeManifest {
  readonly images: readonly FakeImage[]
}

export interface ImageOptions {
  /** How many random layers, or the layers; default 1. */
  readonly layers?: number | readonly (LayerOptions | FakeLayer)[]
  /** For layers that say nothing else. */
  readonly compression?: Compression
  readonly dialect?: Dialect
  readonly platform?: string
  readonly annotations?: Readonly<Record<string, string>>
  /** More keys for the config, e.g. `{ config: { Cmd: ['/x'] } }`. */
  readonly config?: Readonly<Record<string, unknown>>
  /** More keys for the manifest, e.g. `subject`. */
  readonly manifest?: Readonly<Record<string, unknown>>
}

const TYPES = {
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    index: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    gzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
    zstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
    none: 'application/vnd.oci.image.layer.v1.tar',
  },
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    gzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
    zstd: 'application/vnd.docker.image.rootfs.diff.tar.zstd',
    none: 'application/vnd.docker.image.rootfs.diff.tar',
  },
} as const

export async function fakeLayer(options: LayerOptions = {}): Promise<FakeLayer> {
  const { compression = 'gzip', dialect = 'oci', size = 64 * 1024 } = options
  const files = options.files ?? [{ name: 'noise', body: randomBytes(size) }]
  const tar = options.tar ?? (await tarOf(files))
  const bytes = compress(tar, compression)
  const mediaType = TYPES[dialect][compression]
  return { mediaType, digest: digestOf(bytes), diffId: digestOf(tar), bytes, tar }
}

export async function fakeImage(options: ImageOptions = {}): Promise<FakeImage> {
  const { dialect = 'oci', compression = 'gzip', platform = 'linux/amd64' } = options
  const wanted = options.layers ?? 1
  const given = typeof wanted === 'number' ? Array.from({ length: wanted }, () => ({})) : wanted
  const layers: FakeLayer[] = []
  for (const one of given) {
    layers.push('digest' in one ? one : await fakeLayer({ dialect, compression, ...one }))
  }
  const config = json({
    ...platformOf(platform),
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    ...options.config,
  })
  const types = TYPES[dialect]
  const bytes = json({
    schemaVersion: 2,
    mediaType: types.manifest,
    config: { mediaType: types.config, digest: digestOf(config), size: config.byteLength },
    layers: layers.map(({ mediaType, digest, bytes: body, annotations }) => ({
      mediaType,
      digest,
      size: body.byteLength,
      ...(annotations && { annotations }),
    })),
    ...(options.annotations && { annotations: options.annotations }),
    ...options.manifest,
  })
  return {
    mediaType: types.manifest,
    digest: digestOf(bytes),
    bytes,
    config: { digest: digestOf(config), bytes: config },
    layers,
    platform,
  }
}

export function fakeIndex(
  images: readonly FakeImage[],
  options: { readonly dialect?: Dialect; readonly annotations?: Record<string, string> } = {},
): FakeIndex {
  const { dialect = 'oci', annotations } = options
  const bytes = json({
    schemaVersion: 2,
    mediaType: TYPES[dialect].index,
    manifests: images.map((image) => ({
      mediaType: image.mediaType,
      digest: image.digest,
      size: image.bytes.byteLength,
      platform: platformOf(image.platform),
    })),
    ...(annotations && { annotations }),
  })
  return { mediaType: TYPES[dialect].index, digest: digestOf(bytes), bytes, images }
}

/** The same image, whose manifest and config go by sha512. */
export function as512(image: FakeImage): FakeImage {
  const config = { ...image.config, digest: digestOf(image.config.bytes, 'sha512') }
  const text = Buffer.from(image.bytes).toString().replace(image.config.digest, config.digest)
  const bytes = Buffer.from(text)
  return { ...image, config, bytes, digest: digestOf(bytes, 'sha512') }
}

export function as512Layer(layer: FakeLayer): FakeLayer {
  const digest = digestOf(layer.bytes, 'sha512')
  return { ...layer, digest, diffId: digestOf(layer.tar, 'sha512') }
}

export async function tarOf(files: readonly FakeFile[]): Promise<Uint8Array> {
  const tar = pack()
  const chunks: Uint8Array[] = []
  const done = (async () => {
    for await (const chunk of tar) chunks.push(chunk as Uint8Array)
  })()
  for (const { body = '', ...header } of files) {
    tar.entry({ mtime: new Date(0), ...header }, Buffer.from(body))
  }
  tar.finalize()
  await done
  return Buffer.concat(chunks)
}

export function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

function compress(tar: Uint8Array, compression: Compression): Uint8Array {
  if (compression === 'gzip') return gzipSync(tar)
  return compression === 'zstd' ? zstdCompressSync(tar) : tar
}

function platformOf(text: string): Record<string, string> {
  const [os = '', architecture = '', variant] = text.split('/')
  return { os, architecture, ...(variant !== undefined && { variant }) }
}
