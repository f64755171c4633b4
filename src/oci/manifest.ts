/** Manifests, indexes and image configs of image-spec 1.1 and Docker schema 2, parsed once into values that cannot be wrong. */
import { CrossdockError } from '../errors.ts'
import { type Descriptor, parseDescriptor, quote, tooLarge } from './descriptor.ts'
import { type Digest, digestOf, isDigest } from './digest.ts'
import { Fields } from './fields.ts'
import { type JsonObject, malformed, readJson } from './json.ts'
import {
  IMAGE_KEYS,
  INDEX_KEYS,
  knownKeys,
  MANIFEST_KEYS,
  SCHEMA_1_KEYS,
  spelledRight,
} from './key-case.ts'
import { type Dialect, findMediaType, OBSOLETE_TYPES } from './media-type.ts'

export type { Descriptor, Platform } from './descriptor.ts'

interface ManifestBase {
  readonly dialect: Dialect
  readonly mediaType: string
  readonly digest: Digest
  readonly artifactType?: string | undefined
  readonly subject?: Descriptor | undefined
  readonly annotations?: Readonly<Record<string, string>> | undefined
  /** The document as it came, for rewriting. */
  readonly raw: JsonObject
}

export interface ImageManifest extends ManifestBase {
  readonly kind: 'image'
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

export interface ImageIndex extends ManifestBase {
  readonly kind: 'index'
  /** Children that are understood. */
  readonly manifests: readonly Descriptor[]
  /** All of them, in the document's order; `undefined` for one that is passed on as it is. */
  readonly entries: readonly (Descriptor | undefined)[]
}

export type Manifest = ImageManifest | ImageIndex

/** A document as it came. */
export interface ManifestSource {
  readonly mediaType: string
  readonly digest: Digest
  readonly bytes: Uint8Array
}

/** What an image's config says of its layers and platform. */
export interface ImageConfig {
  /** Digests of the uncompressed layers, in order; none in what is no image's config, whatever its media type says. */
  readonly diffIds: readonly Digest[]
  readonly os?: string | undefined
  readonly architecture?: string | undefined
  readonly variant?: string | undefined
}

export interface ModelLimits {
  readonly maxManifestBytes: number
  readonly maxConfigBytes: number
  readonly maxLayers: number
  readonly maxIndexEntries: number
  /** Largest size that a descriptor may state. */
  readonly maxBlobBytes: number
  /** Sum of an image's config and layers. */
  readonly maxImageBytes: number
}

const MIB = 1024 ** 2
const GIB = 1024 ** 3

export const DEFAULT_MODEL_LIMITS: ModelLimits = {
  maxManifestBytes: 4 * MIB,
  maxConfigBytes: 4 * MIB,
  maxLayers: 512,
  maxIndexEntries: 1024,
  maxBlobBytes: 64 * GIB,
  maxImageBytes: 128 * GIB,
}

/** Those that are read here; the config itself goes on as it is. */
const CONFIG_KEYS = knownKeys('os', 'architecture', 'variant', 'rootfs')
const ROOTFS_KEYS = knownKeys('type', 'diff_ids')

/** Throws `badManifest` or `badSize` for what no puller should see, `refused` for manifests of the past. */
export function parseManifest(source: ManifestSource, limits: ModelLimits): Manifest {
  const what = `manifest ${source.digest}`
  refuseObsolete(what, source.mediaType)
  const type = findMediaType(source.mediaType)
  const { maxManifestBytes: maxBytes } = limits
  const document = readJson(source.bytes, {
    ...{ what, maxBytes, setting: 'limits.manifestSize' },
    rewritten: true,
  })
  const raw = spelledRight(document, what)
  const fields = new Fields(raw, what, MANIFEST_KEYS)
  if (raw.schemaVersion === 1) {
    refuseObsolete(what, 'application/vnd.docker.distribution.manifest.v1+json')
  }
  if (type?.role !== 'manifest' && type?.role !== 'index') {
    throw malformed(
      what,
      `has the media type ${quote(source.mediaType)}, which is no manifest's`,
      'media-type',
    )
  }
  if (raw.schemaVersion !== 2) throw fields.wrong('schemaVersion', 'is not 2')
  const stated = fields.optionalString('mediaType') ?? ''
  if (stated !== '' && stated !== source.mediaType) {
    const problem = `calls itself ${quote(stated)} but was served as ${source.mediaType}`
    throw malformed(what, problem, 'media-type')
  }
  const base: ManifestBase = {
    dialect: type.dialect,
    mediaType: source.mediaType,
    digest: source.digest,
    artifactType: fields.optionalString('artifactType') || undefined,
    subject: parseOptional(fields, 'subject', what, limits),
    annotations: fields.optionalStringMap('annotations'),
    raw,
  }
  return type.role === 'manifest'
    ? parseImage(base, fields, what, limits)
    : parseIndex(base, fields, what, limits)
}

/** Throws `badManifest` or `badSize`. */
export function parseImageConfig(bytes: Uint8Array, limits: ModelLimits): ImageConfig {
  const what = `config ${digestOf(bytes)}`
  const raw = readJson(bytes, {
    ...{ what, maxBytes: limits.maxConfigBytes, setting: 'limits.configSize' },
    rewritten: false,
  })
  const fields = new Fields(raw, what, CONFIG_KEYS)
  const rootfs = new Fields(fields.optionalObject('rootfs') ?? {}, what, ROOTFS_KEYS)
  const diffIds = rootfs.optionalStrings('diff_ids') ?? []
  if (!diffIds.every(isDigest)) {
    throw rootfs.wrong(
      'diff_ids',
      'holds something that is not a sha256 or sha512 digest',
      'digest',
    )
  }
  return {
    diffIds,
    os: fields.optionalString('os'),
    architecture: fields.optionalString('architecture'),
    variant: fields.optionalString('variant'),
  }
}

function parseImage(
  base: ManifestBase,
  fields: Fields,
  what: string,
  limits: ModelLimits,
): ImageManifest {
  refuseOtherKind(fields, what, [...INDEX_KEYS, ...SCHEMA_1_KEYS])
  const config = parseDescriptor(fields.object('config'), `config in ${what}`, limits)
  const layers = parseList(fields, 'layers', limits.maxLayers, what, (raw, where) =>
    parseDescriptor(raw, where, limits),
  )
  const size = layers.reduce((sum, layer) => sum + layer.size, config.size)
  if (size > limits.maxImageBytes)
    throw tooLarge(what, `${size} bytes of layers`, limits.maxImageBytes, 'imageSize')
  const [doubtful] = findContradictions([config, ...layers])
  if (doubtful !== undefined) throw contradiction(what, doubtful)
  return { kind: 'image', ...base, config, layers }
}

function parseIndex(
  base: ManifestBase,
  fields: Fields,
  what: string,
  limits: ModelLimits,
): ImageIndex {
  refuseOtherKind(fields, what, [...IMAGE_KEYS, ...SCHEMA_1_KEYS])
  const entries = parseChildren(fields, what, limits)
  const manifests = entries.filter((child) => child !== undefined)
  return { kind: 'index', ...base, manifests, entries }
}

/** What may be wrong with a child alone: who takes one of its siblings never looks at it. */
const OF_ONE_CHILD: ReadonlySet<string | undefined> = new Set(['digest', 'size-zero', 'too-large'])

/**
 * A child that cannot be understood, or is described in two ways, is no reason not to understand the others. Throws what is wrong with
 * the first one where there are no others.
 */
function parseChildren(
  fields: Fields,
  what: string,
  limits: ModelLimits,
): readonly (Descriptor | undefined)[] {
  let failure: CrossdockError | undefined
  const entries = parseList(fields, 'manifests', limits.maxIndexEntries, what, (raw, where) => {
    try {
      return parseDescriptor(raw, where, limits)
    } catch (error) {
      if (!(error instanceof CrossdockError && OF_ONE_CHILD.has(error.reason))) throw error
      failure ??= error
      return undefined
    }
  })
  const doubtful = findContradictions(entries.filter((child) => child !== undefined))
  for (const digest of doubtful) failure ??= contradiction(what, digest)
  const understood = entries.map((child) =>
    child && doubtful.has(child.digest) ? undefined : child,
  )
  if (failure !== undefined && understood.every((child) => child === undefined)) throw failure
  return understood
}

/** A document that can be read as two kinds is read differently by two clients. */
function refuseOtherKind(fields: Fields, what: string, keys: readonly string[]): void {
  const alien = keys.find((key) => fields.has(key))
  if (alien === undefined) return
  throw malformed(what, `is two kinds of manifest in one: it has "${alien}" as well`, 'ambiguous')
}

/** The same blob cannot have two sizes, nor a layer two compressions. */
function findContradictions(descriptors: readonly Descriptor[]): ReadonlySet<Digest> {
  const seen = new Map<Digest, Descriptor>()
  const found = new Set<Digest>()
  for (const one of descriptors) {
    const other = seen.get(one.digest) ?? one
    seen.set(one.digest, other)
    const known = findMediaType(one.mediaType) && findMediaType(other.mediaType)
    if (one.size !== other.size || (known && one.mediaType !== other.mediaType)) {
      found.add(one.digest)
    }
  }
  return found
}

function contradiction(what: string, digest: Digest): CrossdockError {
  return malformed(what, `describes ${digest} in two different ways`, 'contradiction')
}

function parseList<T>(
  fields: Fields,
  key: 'layers' | 'manifests',
  max: number,
  what: string,
  parse: (raw: JsonObject, where: string) => T,
): readonly T[] {
  const list = fields.objects(key)
  if (list.length <= max) return list.map((raw, i) => parse(raw, `${key}[${i}] in ${what}`))
  throw new CrossdockError(
    'badManifest',
    `${what} has ${list.length} ${key}, more than the ${max} allowed; raise limits.${key === 'layers' ? 'layers' : 'indexEntries'} if it is real`,
    { reason: `too-many-${key}` },
  )
}

function parseOptional(fields: Fields, key: string, what: string, limits: ModelLimits) {
  const raw = fields.optionalObject(key)
  return raw && parseDescriptor(raw, `${key} in ${what}`, limits)
}

function refuseObsolete(what: string, mediaType: string): void {
  const obsolete = OBSOLETE_TYPES.get(mediaType)
  if (obsolete === undefined) return
  throw new CrossdockError(
    'refused',
    `${what} is ${obsolete}, which no current client reads; push the image again with a current tool`,
    { reason: 'obsolete-manifest' },
  )
}
