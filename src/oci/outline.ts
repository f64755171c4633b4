/**
 * Documents that are passed on and not understood: for other clients they may well be images, so that they are stored, served
 * and carried byte for byte, with whatever they name as far as that can be made out. Nothing is ever made of them.
 */
import type { CrossdockError } from '../errors.ts'
import { type Digest, isDigest } from './digest.ts'
import { DESCRIBED_LAYER } from './image-kind.ts'
import { isJsonObject, type JsonObject, type JsonValue } from './json.ts'
import type { Descriptor, Manifest, ManifestSource } from './manifest.ts'
import { findMediaType } from './media-type.ts'
import { type Named, namedIn } from './named.ts'

export interface OpaqueManifest {
  readonly kind: 'opaque'
  readonly mediaType: string
  readonly digest: Digest
  readonly artifactType?: string | undefined
  readonly subject?: Pick<Descriptor, 'digest'> | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** Children with their media types, or config and layers without. */
  readonly named: readonly Named[]
  /** Of an image, as its clients read them; none where one of them cannot be made out. */
  readonly layers: readonly Descriptor[]
  /** Why it is not understood. */
  readonly refusal: CrossdockError
  /** False for what no client pulls either, or only one that is deceived. */
  readonly isForOthers: boolean
}

/** What is known of any manifest. */
export type Outline = Manifest | OpaqueManifest

/** As many layers and children as any limit lets an image have that is understood. */
const MAX_NAMED = 4_096

/** `refusal` is what `parseManifest` has thrown. */
export function outlineOf(source: ManifestSource, refusal: CrossdockError): OpaqueManifest {
  const { mediaType, digest, bytes } = source
  const document = readLoosely(bytes)
  const { artifactType, subject, annotations } = document
  const [about] = namedIn({ config: subject })
  return {
    kind: 'opaque',
    mediaType,
    digest,
    artifactType: typeof artifactType === 'string' ? artifactType : undefined,
    subject: about,
    annotations: isJsonObject(annotations) ? textsOf(annotations) : undefined,
    named: namedIn(document).slice(0, MAX_NAMED),
    layers: layersIn(document),
    refusal,
    isForOthers: !isNobodys(refusal) && sizesAreSound(document),
  }
}

/** Manifests of the past, and documents that are one kind to some clients and another one to others (CVE-2021-41190). */
function isNobodys({ kind, reason }: CrossdockError): boolean {
  return kind === 'refused' || reason === 'ambiguous'
}

/** Clients in Go do not get beyond a size that is no whole number from 0. */
function sizesAreSound({ config, layers, manifests }: JsonObject): boolean {
  const lists = [layers, manifests].filter((list) => Array.isArray(list))
  const descriptors = [config, ...(lists.flat() as readonly JsonValue[])].filter(isJsonObject)
  return descriptors.every(({ size }) => Number.isSafeInteger(size) && Number(size) >= 0)
}

/** Children of an index, each as its index names it. */
export function childrenOf(outline: Outline): readonly Descriptor[] {
  if (outline.kind === 'index') return outline.manifests
  if (outline.kind === 'image') return []
  return outline.named.flatMap(({ mediaType, digest, size }) =>
    mediaType === undefined ? [] : { mediaType, digest, size },
  )
}

/** Config and layers of an image; those that cannot be told apart have no media type. */
export function blobsOf(outline: Outline): readonly Named[] {
  if (outline.kind === 'index') return []
  if (outline.kind === 'opaque') return outline.named.filter((one) => one.mediaType === undefined)
  return [{ ...outline.config, role: 'config' }, ...outline.layers]
}

/** Blobs that an image's readers need beside those that it lists, of unknown size. */
export function referredBy(outline: Outline): readonly Digest[] {
  if (outline.kind === 'index') return []
  const all = outline.layers.map(({ annotations }) => annotations?.[DESCRIBED_LAYER])
  return [...new Set(all.filter((text) => text !== undefined).filter(isDigest))]
}

/** False for a layer that lies where the registry does not reach. */
export function isInRegistry({ mediaType = '' }: { readonly mediaType?: string }): boolean {
  return findMediaType(mediaType)?.foreign !== true
}

function readLoosely(bytes: Uint8Array): JsonObject {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as JsonValue
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}

function layersIn({ layers }: JsonObject): readonly Descriptor[] {
  if (!Array.isArray(layers) || layers.length > MAX_NAMED) return []
  const read = (layers as readonly JsonValue[]).map(readLayer)
  const sound = read.filter((layer) => layer !== undefined)
  return sound.length === read.length ? sound : []
}

function readLayer(raw: JsonValue): Descriptor | undefined {
  if (!isJsonObject(raw) || typeof raw.mediaType !== 'string') return undefined
  const [named] = namedIn({ config: raw })
  const { mediaType, annotations } = raw
  return (
    named && {
      ...{ mediaType, digest: named.digest, size: named.size },
      ...(isJsonObject(annotations) && { annotations: textsOf(annotations) }),
    }
  )
}

function textsOf(object: JsonObject): Record<string, string> {
  const texts = Object.entries(object).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(texts)
}
