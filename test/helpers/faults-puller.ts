/** A puller that believes nothing: hashes every byte, unpacks every layer, and compares diffIDs with the config. */
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { DESCRIBED_LAYER } from '../../src/oci/image-kind.ts'
import { type Answer, type Ask, ask } from './faults-http.ts'

export interface PulledLayer {
  readonly mediaType: string
  readonly digest: string
  readonly diffId: Digest
}

export interface PulledImage {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
  readonly conversion: string | undefined
  readonly config: string
  readonly layers: readonly PulledLayer[]
}

export interface PulledIndex {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
  readonly conversion: string | undefined
  readonly manifests: readonly ChildDescriptor[]
}

export interface ChildDescriptor {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  readonly platform?: { readonly os: string; readonly architecture: string }
  readonly annotations?: Readonly<Record<string, string>>
}

interface Document {
  readonly mediaType: string
  readonly config: { readonly digest: string; readonly size: number }
  readonly layers: readonly {
    readonly mediaType: string
    readonly digest: string
    readonly size: number
    readonly annotations?: Readonly<Record<string, string>>
  }[]
  readonly manifests: readonly ChildDescriptor[]
}

/** An answer with an orderly end whose bytes are not what was asked for: never acceptable. */
export class PoisonError extends Error {
  override readonly name = 'PoisonError'
}

/** A refusal or a broken connection: acceptable while something is wrong. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly status: number

  constructor(what: string, { status, bytes }: Answer) {
    super(status === 200 ? `${what}: cut` : `${what}: ${status} ${bytes.subarray(0, 400)}`)
    this.status = status
  }
}

export type PullAsk = Pick<Ask, 'headers' | 'agent' | 'signal'>

/** `base` is `http://HOST:PORT/v2` or has a mirror path in front of `/v2`. */

export async function getManifest(
  base: string,
  name: string,
  reference: string,
  how: PullAsk = {},
): Promise<PulledIndex & { readonly document: Document; readonly answer: Answer }> {
  const what = `manifest ${name} ${reference}`
  const answer = await ask(`${base}/${name}/manifests/${reference}`, how)
  if (answer.status !== 200 || !answer.isWhole) throw new RefusedError(what, answer)
  const digest = digestOf(answer.bytes, algorithmIn(reference))
  const named = answer.headers['docker-content-digest']
  const wanted = reference.includes(':') ? reference : named
  if ((wanted !== undefined && wanted !== digest) || (named !== undefined && named !== digest)) {
    throw new PoisonError(`${what} came as ${digest}, named ${named}`)
  }
  const document = JSON.parse(answer.bytes.toString()) as Document
  return {
    digest,
    mediaType: answer.headers['content-type'] ?? '',
    bytes: answer.bytes,
    conversion: answer.headers['crossdock-conversion']?.toString(),
    manifests: document.manifests ?? [],
    document,
    answer,
  }
}

export async function getBlob(
  base: string,
  name: string,
  blob: { readonly digest: string; readonly size?: number },
  how: PullAsk = {},
): Promise<Buffer> {
  const what = `blob ${name} ${blob.digest}`
  const answer = await ask(`${base}/${name}/blobs/${blob.digest}`, how)
  if (answer.status !== 200 || !answer.isWhole) throw new RefusedError(what, answer)
  const digest = digestOf(answer.bytes, algorithmIn(blob.digest))
  const size = answer.bytes.byteLength
  if (digest !== blob.digest || (blob.size !== undefined && blob.size !== size)) {
    throw new PoisonError(`${what} of ${blob.size} came as ${digest} of ${size}`)
  }
  return answer.bytes
}

/** Pulls an image to its last byte; of an index all that it names. */
export async function pull(
  base: string,
  name: string,
  reference: string,
  how: PullAsk = {},
): Promise<PulledImage> {
  const manifest = await getManifest(base, name, reference, how)
  const { digest, mediaType, bytes, conversion, document } = manifest
  const all = { digest, mediaType, bytes, conversion }
  if (document.config === undefined) {
    const children: PulledImage[] = []
    for (const child of manifest.manifests) {
      children.push(await pull(base, name, child.digest, how))
    }
    const layers = children.flatMap((child) => child.layers)
    return { ...all, config: children[0]?.config ?? '', layers }
  }
  const config = await getBlob(base, name, document.config, how)
  const diffIds = diffIdsIn(config)
  const layers: PulledLayer[] = []
  for (const [i, layer] of document.layers.entries()) {
    const body = await getBlob(base, name, layer, how)
    const diffId = checkedDiffId(layer, body, diffIds?.[i])
    layers.push({ mediaType: layer.mediaType, digest: layer.digest, diffId })
    const described = layer.annotations?.[DESCRIBED_LAYER]
    if (described === undefined) continue
    const original = await getBlob(base, name, { digest: described }, how)
    layers.push({ mediaType: 'described', digest: described, diffId: digestOf(unpack(original)) })
  }
  return { ...all, config: document.config.digest, layers }
}

/** None in what is no config of an image. */
function diffIdsIn(config: Buffer): readonly string[] | undefined {
  const { rootfs } = JSON.parse(config.toString()) as { rootfs?: { diff_ids: string[] } }
  return rootfs?.diff_ids
}

/** What is no tar counts as unpacked. */
function checkedDiffId(layer: Document['layers'][0], body: Buffer, said?: string): Digest {
  const isTar = /\.tar(?:$|[.+])/.test(layer.mediaType)
  const diffId = digestOf(isTar ? unpack(body) : body, algorithmIn(said))
  if (diffId === said || (said === undefined && !isTar)) return diffId
  throw new PoisonError(`layer ${layer.digest} unpacks to ${diffId} instead of ${said}`)
}

function algorithmIn(digest: string | undefined): 'sha256' | 'sha512' {
  return digest?.startsWith('sha512:') ? 'sha512' : 'sha256'
}

export function unpack(bytes: Buffer): Uint8Array {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes)
  const magic = bytes.byteLength < 4 ? 0 : bytes.readUInt32LE(0)
  const isZstd = magic === 0xfd2fb528 || (magic & 0xfffffff0) === 0x184d2a50
  return isZstd ? zstdDecompressSync(bytes) : bytes
}
