/**
 * Pure: manifests written again around converted layers. What nobody here knows is kept, what stops being true is dropped,
 * and keys come in one order, so that the same input always gives the same digest.
 */
import { CrossdockError } from '../errors.ts'
import { type Digest, digestOf, isDigest } from './digest.ts'
import {
  decodeText,
  findStrings,
  isJsonObject,
  type JsonObject,
  type JsonRules,
  type JsonValue,
  malformed,
  readJson,
} from './json.ts'
import { REFERENCE_DIGEST } from './image-kind.ts'
import { fold } from './key-case.ts'
import type { Descriptor, ImageIndex, ImageManifest } from './manifest.ts'
import {
  CONFIG_TYPES,
  type Dialect,
  findMediaType,
  INDEX_TYPES,
  MANIFEST_TYPES,
  translateMediaType,
} from './media-type.ts'

type Annotations = Readonly<Record<string, string>>

/** One layer of the new manifest; `of` is the place in the source of the layer that it is, or that it was made of. */
export type LayerChange =
  | { readonly kind: 'kept'; readonly of: number; readonly annotations?: Annotations | undefined }
  | MadeLayer

interface MadeLayer {
  readonly kind: 'made'
  /** Left out: it is made of all of them. */
  readonly of?: number
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly annotations?: Annotations | undefined
}

export interface ImageChange {
  readonly dialect: Dialect
  /** In their order. */
  readonly layers: readonly LayerChange[]
  /** Added to the manifest's own. */
  readonly annotations: Annotations
  /** Left out: the config stays. */
  readonly config?: { readonly digest: Digest; readonly size: number }
  /** Left out: that of the dialect. */
  readonly configType?: string | undefined
}

export interface IndexChange {
  readonly dialect: Dialect
  readonly annotations: Annotations
  /** Converted children by the digest of their source; the others stay. */
  readonly children: ReadonlyMap<Digest, ChildChange>
}

/** What becomes of one image of an index. */
export interface ChildChange {
  /** Takes its place; left out: it stays. */
  readonly instead?: ChildDescriptor
  /** Follow all images of the index, on the child's platform. */
  readonly beside?: readonly ChildDescriptor[]
}

export interface ChildDescriptor {
  readonly digest: Digest
  readonly size: number
  readonly mediaType: string
  readonly artifactType?: string
  readonly annotations?: Annotations
}

export interface Rewritten {
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly digest: Digest
}

/** The order of image-spec's Go types, which most tools write; unknown keys follow in the source's order. */
const MANIFEST_ORDER = [
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
]
const DESCRIPTOR_ORDER = [
  'mediaType',
  'digest',
  'size',
  'urls',
  'annotations',
  'platform',
  'artifactType',
]

/** Annotations about a layer's bytes, or about the set of layers: untrue as soon as a layer is another one. */
const BYTE_ANNOTATIONS = [
  'containerd.io/snapshot/',
  'containerd.io/uncompressed',
  'com.amazon.soci.',
  'io.containers.estargz.',
  'io.containers.zstd-chunked.',
  'io.github.containers.compression.',
  'io.github.containers.zstd-chunked.',
]
/** Ours are never inherited from a crossdock further up. */
const OUR_ANNOTATIONS = 'dev.crossdock.'

/** Throws `refused` for a kept layer that the dialect has no media type for. */
export function rewriteImage(image: ImageManifest, change: ImageChange): Rewritten {
  const changed = change.layers.some(({ kind }) => kind === 'made')
  const config = {
    ...rawObject(image.raw.config),
    ...change.config,
    mediaType: change.configType ?? CONFIG_TYPES[change.dialect],
    urls: undefined,
  }
  const raws = rawList(image.raw.layers)
  const layers = change.layers.map((layer) => {
    const source = layer.of === undefined ? undefined : image.layers[layer.of]
    const raw = layer.of === undefined ? {} : rawObject(raws[layer.of])
    if (layer.kind === 'made') return changeLayer(raw, source, layer)
    if (source === undefined) throw new Error('a kept layer is one of its source')
    return keepLayer(raw, source, change.dialect, layer.annotations)
  })
  return write(MANIFEST_TYPES[change.dialect], {
    ...image.raw,
    config: descriptor(config),
    layers,
    annotations: annotations(image.annotations, changed, change.annotations),
  })
}

/** Attestations stay as they are and are told of their image's new digest; what is not understood stays as it is. */
export function rewriteIndex(index: ImageIndex, change: IndexChange): Rewritten {
  const raws = rawList(index.raw.manifests)
  const manifests = index.entries.map((child, i) => {
    const raw = rawObject(raws[i])
    if (child === undefined) return raw
    const made = change.children.get(child.digest)?.instead
    const own = repoint(child.annotations, change)
    return descriptor({
      ...raw,
      ...made,
      urls: undefined,
      annotations: made ? annotations(own, true, made.annotations) : own && sorted(own),
    })
  })
  const added = new Set<Digest>()
  const beside = index.entries.flatMap((child, i) => {
    if (child === undefined || added.has(child.digest)) return []
    const { digest } = child
    added.add(digest)
    const { platform } = rawObject(raws[i])
    const made = change.children.get(digest)?.beside ?? []
    return made.map((one) => descriptor({ ...one, ...(platform && { platform }) }))
  })
  return write(INDEX_TYPES[change.dialect], {
    ...index.raw,
    manifests: [...manifests, ...beside],
    annotations: annotations(index.annotations, false, change.annotations),
  })
}

/**
 * Puts other diffIDs into a config and leaves every other byte as it is: unknown fields, number formats and white space.
 * Throws `badManifest` when the config does not have as many.
 */
export function patchDiffIds(config: Uint8Array, diffIds: readonly Digest[]): Uint8Array {
  const what = `config ${digestOf(config)}`
  const rules: JsonRules = { what, maxBytes: config.byteLength, rewritten: false }
  readJson(config, rules)
  const text = decodeText(config, rules)
  const spans = findStrings(text, ['rootfs', 'diff_ids'], fold, rules)
  if (spans.length !== diffIds.length) {
    const problem = `has ${spans.length} diffIDs where ${diffIds.length} are needed`
    throw malformed(what, problem, 'layer-count')
  }
  let patched = ''
  let copied = 0
  for (const [i, span] of spans.entries()) {
    patched += `${text.slice(copied, span.start)}"${diffIds[i]}"`
    copied = span.end
  }
  return new TextEncoder().encode(patched + text.slice(copied))
}

function changeLayer(raw: JsonObject, source: Descriptor | undefined, made: MadeLayer): JsonObject {
  const { digest, size, mediaType } = made
  const own = annotations(source?.annotations, true, made.annotations)
  return descriptor({ ...raw, digest, size, mediaType, urls: undefined, annotations: own })
}

/** A foreign layer keeps its `urls`; any other is to be had here. */
function keepLayer(
  raw: JsonObject,
  layer: Descriptor,
  dialect: Dialect,
  added: Annotations | undefined,
): JsonObject {
  const known = findMediaType(layer.mediaType)
  const mediaType = known === undefined ? layer.mediaType : translateMediaType(known.type, dialect)
  if (mediaType === undefined) {
    throw new CrossdockError(
      'refused',
      `layer ${layer.digest} is ${layer.mediaType}, which ${dialect} manifests cannot carry; pull with a client that accepts OCI manifests`,
      { reason: 'no-media-type' },
    )
  }
  return descriptor({
    ...raw,
    mediaType,
    urls: known?.foreign ? raw.urls : undefined,
    annotations: (layer.annotations ?? added) && sorted({ ...layer.annotations, ...added }),
  })
}

/** An attestation's image has another digest now. */
function repoint(own: Annotations | undefined, change: IndexChange): Annotations | undefined {
  const about = own?.[REFERENCE_DIGEST]
  const child = about !== undefined && isDigest(about) ? change.children.get(about) : undefined
  const made = child?.instead
  return made === undefined ? own : { ...own, [REFERENCE_DIGEST]: made.digest }
}

/** `undefined` when nothing is left. */
function annotations(
  own: Annotations | undefined,
  bytesChanged: boolean,
  added: Annotations = {},
): Annotations | undefined {
  const kept = Object.entries(own ?? {}).filter(([key]) => {
    if (key.startsWith(OUR_ANNOTATIONS)) return false
    return !(bytesChanged && BYTE_ANNOTATIONS.some((prefix) => key.startsWith(prefix)))
  })
  const all = { ...Object.fromEntries(kept), ...added }
  return Object.keys(all).length === 0 ? undefined : sorted(all)
}

function sorted(map: Annotations): Annotations {
  return Object.fromEntries(Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Embedded `data` is dropped: it may be another document than the digest names. */
function descriptor(raw: JsonObject): JsonObject {
  return ordered({ ...raw, data: undefined }, DESCRIPTOR_ORDER)
}

function write(mediaType: string, manifest: JsonObject): Rewritten {
  const complete = ordered({ ...manifest, schemaVersion: 2, mediaType }, MANIFEST_ORDER)
  const bytes = new TextEncoder().encode(JSON.stringify(complete))
  return { bytes, mediaType, digest: digestOf(bytes) }
}

/** Known keys first; `undefined` values are left out. */
function ordered(object: JsonObject, order: readonly string[]): JsonObject {
  const known = order.map((key) => [key, object[key]] as const)
  const unknown = Object.entries(object).filter(([key]) => !order.includes(key))
  return Object.fromEntries([...known, ...unknown].filter(([, value]) => value !== undefined))
}

function rawList(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : []
}

function rawObject(value: JsonValue | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}
