/** The plan of what `docker save` and `podman save` write: config and layers, for which a manifest has to be made. */

import { HEAD_SIZE } from '../codec/codec.ts'
import { decodeLayer, sniffCompression } from '../codec/codecs.ts'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, digestOf, Hasher, isDigest } from '../oci/digest.ts'
import type { ImageConfig } from '../oci/manifest.ts'
import { CONFIG_TYPES, layerMediaType, MANIFEST_TYPES } from '../oci/media-type.ts'
import { parseReference } from '../oci/reference.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { BundlePlan, PlanContext, PlannedImage, PlannedManifest } from './bundle-plan.ts'
import { plannedImage } from './foreign-layout.ts'

/** What docker-archives need beyond what every plan needs. */
export interface ArchiveContext extends PlanContext {
  readonly findFile: (name: string) => BlobStat | undefined
  readonly stream: (digest: Digest) => ByteStream
  readonly parseConfig: (bytes: Uint8Array) => ImageConfig
  readonly maxConfigBytes: number
  readonly maxLayerBytes: number
}

interface SavedImage {
  readonly Config: string
  readonly RepoTags?: readonly string[] | null
  readonly Layers: readonly string[]
}

/**
 * The image ID stays, since the config does. Throws `badManifest` when a file is missing and `badDigest` when a layer does
 * not unpack to what the config says: the only checksum that these archives have.
 */
export async function planDockerArchive(
  manifest: Uint8Array,
  context: ArchiveContext,
): Promise<BundlePlan> {
  const images: PlannedImage[] = []
  const manifests: PlannedManifest[] = []
  const blobs = new Set<Digest>()
  const checked = new Map<string, Digest>()
  for (const saved of parseSaved(manifest)) {
    const config = fileOf(saved.Config, context)
    const layers = saved.Layers.map((name) => fileOf(name, context))
    await checkDiffIds(saved, config, layers, checked, context)
    const raw = await writeManifest(config, layers, context)
    const parsed = context.parse(raw)
    for (const { digest } of [config, ...layers]) blobs.add(digest)
    const names = saved.RepoTags?.length ? saved.RepoTags : [undefined]
    for (const name of names) {
      const reference = name === undefined ? undefined : parseReference(name)
      const repository = reference ? context.locate(reference.name) : context.fallback
      const tag = reference?.tag ?? 'latest'
      manifests.push({ repository, raw, parsed, tags: [tag] })
      images.push(plannedImage(repository, tag, raw.digest))
    }
  }
  return { images, manifests, conversions: [], lists: [], forms: [], platforms: [], blobs }
}

function parseSaved(bytes: Uint8Array): readonly SavedImage[] {
  let list: unknown
  try {
    list = JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    // Said below.
  }
  const isSound = (one: SavedImage) =>
    typeof one?.Config === 'string' && isTexts(one.Layers) && isTexts(one.RepoTags ?? [])
  if (Array.isArray(list) && list.length > 0 && list.every(isSound)) return list as SavedImage[]
  throw new CrossdockError(
    'badManifest',
    'manifest.json of the archive is malformed or names no image; save the image again',
  )
}

function isTexts(list: unknown): boolean {
  return Array.isArray(list) && list.every((one) => typeof one === 'string')
}

function fileOf(name: string, { findFile }: ArchiveContext): BlobStat {
  const found = findFile(name.replace(/^\.\//, ''))
  if (found !== undefined) return found
  throw new CrossdockError(
    'badManifest',
    `the archive is incomplete: ${name.slice(0, 200)} is named and not there; save the image again`,
    { reason: 'blob-missing' },
  )
}

async function checkDiffIds(
  saved: SavedImage,
  config: BlobStat,
  layers: readonly BlobStat[],
  checked: Map<string, Digest>,
  context: ArchiveContext,
): Promise<void> {
  const claimed = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(saved.Config)?.[1]
  const id = `sha256:${claimed}`
  if (claimed !== undefined && isDigest(id) && id !== config.digest) throw damaged(saved.Config)
  const bytes = await context.read(config.digest, context.maxConfigBytes)
  const { diffIds } = context.parseConfig(bytes)
  if (diffIds.length !== layers.length) throw damaged(saved.Config)
  for (const [i, layer] of layers.entries()) {
    const said = diffIds[i]
    const key = `${layer.digest} ${said}`
    const diffId = checked.get(key) ?? (await unpackedDigest(layer.digest, said, context))
    checked.set(key, diffId)
    if (diffId !== said) throw damaged(saved.Layers[i] ?? '')
  }
}

/** In the algorithm of what the config says. */
async function unpackedDigest(
  layer: Digest,
  said: Digest | undefined,
  context: ArchiveContext,
): Promise<Digest> {
  const hasher = new Hasher(said && algorithmOf(said))
  const limits = { maxOutput: context.maxLayerBytes, maxWindowLog: 31 }
  for await (const chunk of decodeLayer(context.stream(layer), limits)) hasher.update(chunk)
  return hasher.digest()
}

/** The same bytes for the same archive. */
async function writeManifest(
  config: BlobStat,
  layers: readonly BlobStat[],
  context: ArchiveContext,
): Promise<RawManifest> {
  const described = []
  for (const { digest, size } of layers) {
    described.push({ mediaType: await layerType(digest, context), digest, size })
  }
  const document = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPES.oci,
    config: { mediaType: CONFIG_TYPES.oci, digest: config.digest, size: config.size },
    layers: described,
  }
  const bytes = new TextEncoder().encode(JSON.stringify(document))
  return { bytes, digest: digestOf(bytes), mediaType: MANIFEST_TYPES.oci }
}

async function layerType(digest: Digest, context: ArchiveContext): Promise<string> {
  let head: Uint8Array = new Uint8Array()
  for await (const chunk of context.stream(digest)) {
    head = Buffer.concat([head, chunk])
    if (head.byteLength >= HEAD_SIZE) break
  }
  const compression = sniffCompression(head.subarray(0, HEAD_SIZE))
  const type = compression && layerMediaType('oci', compression)
  if (type !== undefined) return type
  throw damaged(digest)
}

function damaged(name: string): CrossdockError {
  return new CrossdockError(
    'badDigest',
    `${name.slice(0, 200)} in the archive is damaged: it is not what the image's config says; save the image again`,
    { reason: 'diff-id' },
  )
}
