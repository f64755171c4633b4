/** `bundle.json`: what a bundle holds and what it leaves out, for people and for the import on the far side. */
import { CrossdockError } from '../errors.ts'
import { isCount, isObject, isText, isTextMap, parseObject } from '../lib/shapes.ts'
import { type Digest, digestOf, isDigest } from '../oci/digest.ts'
import { isName, isTag } from '../oci/reference.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import { DESCRIPTION_FILE } from './layout-files.ts'

/** Raise when an older crossdock could not import what a newer one writes. */
const VERSION = 1

export interface BundleDescription {
  readonly images: readonly BundledImage[]
  /** Everything that is a manifest: images, indexes, their sources, signatures and SBOMs. */
  readonly manifests: readonly BundledManifest[]
  /** How converted manifests came about, so that tags with a suffix are answered without converting again. */
  readonly conversions: readonly BundledConversion[]
  /** Priority lists of sources, which are blobs of the bundle. */
  readonly lists?: readonly BundledList[] | undefined
  /** The bundles that must be imported before this one. */
  readonly requires: readonly RequiredBundle[]
  /** What lies in this bundle. */
  readonly blobs: readonly BundledBlob[]
  /** What belongs to it and lies in the required bundles. */
  readonly omitted: readonly BundledBlob[]
}

/** One reference that was exported. */
export interface BundledImage {
  /** The name that clients find it under: `docker.io/library/alpine:3`. */
  readonly name: string
  /** What was asked for: `docker.io/library/alpine:3-zstd`. */
  readonly reference: string
  readonly digest: Digest
  readonly mediaType: string
  /** `undefined`: the original. */
  readonly profile?: string | undefined
  readonly revision?: number | undefined
  readonly source?: Digest | undefined
  /** Whether the source's layers are here, too. */
  readonly withSource?: boolean | undefined
  /** Of the images that are carried; an index may name more. */
  readonly platforms: readonly string[]
  /** Platforms that the index names and that are not carried. */
  readonly leftOut?: readonly string[] | undefined
  /** Platforms of a converted index that are carried as originals. */
  readonly originals?: readonly string[] | undefined
  /** Of config and layers, bytes. */
  readonly size: number
}

export interface BundledManifest {
  /** `docker.io/library/alpine` */
  readonly repository: string
  readonly digest: Digest
  readonly mediaType: string
  readonly size: number
  readonly tags: readonly string[]
}

/** What a profile lays the source out by, so that the far side gets the same digests. */
export interface BundledList {
  /** `docker.io/library/alpine` */
  readonly repository: string
  readonly source: Digest
  readonly profile: string
  readonly list: Digest
}

/**
 * Time and duration say nothing about the result and would make two bundles of the same thing differ; outputs follow from
 * the manifests.
 */
export type BundledConversion = Omit<ConvertedImage, 'convertedAt' | 'seconds' | 'outputs'>

export interface RequiredBundle {
  readonly id: Digest
  /** The file's name when the delta was made. */
  readonly name: string
}

export interface BundledBlob {
  readonly digest: Digest
  readonly size: number
}

export interface IdentifiedBundle extends BundleDescription {
  /** Digest of all the rest. */
  readonly id: Digest
}

export function formatDescription(bundle: BundleDescription): string {
  const { images, manifests, conversions, lists = [], requires, blobs, omitted } = bundle
  const listed = lists.length > 0 && { lists }
  const rest = { images, requires, manifests, conversions, ...listed, blobs, omitted }
  const id = digestOf(new TextEncoder().encode(JSON.stringify(rest)))
  return `${JSON.stringify({ bundleVersion: VERSION, id, ...rest }, null, 2)}\n`
}

/** Throws `badManifest` for what is no description, `refused` for one of a newer crossdock. */
export function parseDescription(bytes: Uint8Array): IdentifiedBundle {
  const raw = parseJson(bytes)
  const { bundleVersion } = raw as { bundleVersion?: unknown }
  if (typeof bundleVersion === 'number' && bundleVersion > VERSION) {
    throw new CrossdockError(
      'refused',
      `the bundle is of version ${bundleVersion}, this crossdock reads up to ${VERSION}; update crossdock`,
    )
  }
  const bundle = raw as IdentifiedBundle & { bundleVersion: number }
  const isSound =
    bundleVersion === VERSION &&
    isDigest(bundle.id) &&
    isListOf(bundle.images, isSoundImage) &&
    isListOf(bundle.manifests, isSoundManifest) &&
    isListOf(bundle.conversions, isSoundConversion) &&
    isListOf(bundle.lists ?? [], isSoundList) &&
    isListOf(bundle.requires, (one) => isDigest(one.id) && isText(one.name)) &&
    isListOf(bundle.blobs, isSoundBlob) &&
    isListOf(bundle.omitted, isSoundBlob)
  if (isSound) return bundle
  throw malformed()
}

function isListOf<T>(list: readonly T[], isSound: (item: T) => boolean): boolean {
  return Array.isArray(list) && list.every((item) => isObject(item as unknown) && isSound(item))
}

function isSoundImage({ name, reference, digest }: BundledImage): boolean {
  return isText(name) && isText(reference) && isDigest(digest)
}

function isSoundBlob(blob: BundledBlob): boolean {
  return isDigest(blob.digest) && isCount(blob.size)
}

function isRepository(text: string): boolean {
  return isText(text) && /^[^/\s]+\/./.test(text) && isName(text.slice(text.indexOf('/') + 1))
}

function isSoundManifest(manifest: BundledManifest): boolean {
  const { repository, mediaType, tags } = manifest
  return (
    isSoundBlob(manifest) &&
    isRepository(repository) &&
    isText(mediaType) &&
    Array.isArray(tags) &&
    tags.every((tag) => isText(tag) && isTag(tag))
  )
}

function isSoundList({ repository, source, profile, list }: BundledList): boolean {
  return isRepository(repository) && isDigest(source) && isText(profile) && isDigest(list)
}

function isSoundConversion(made: BundledConversion): boolean {
  return (
    isRecipe(made.recipe) &&
    isText(made.profile) &&
    isText(made.mediaType) &&
    isText(made.repository?.upstream) &&
    isText(made.repository.name) &&
    isDigest(made.source) &&
    isSoundBlob({ digest: made.target, size: made.size }) &&
    isListOf(made.layers, isSoundLayer)
  )
}

function isSoundLayer(layer: BundledConversion['layers'][number]): boolean {
  return (
    isDigest(layer.source) &&
    isDigest(layer.diffId) &&
    isSoundBlob({ digest: layer.target, size: layer.size }) &&
    isText(layer.encoding) &&
    isCount(layer.revision) &&
    isCount(layer.uncompressedSize) &&
    isTextMap(layer.facts) &&
    parseObject(layer.options) !== undefined
  )
}

/** Read again whenever the image is asked for, so it must be readable. */
function isRecipe(text: string): boolean {
  const { profile, format, revision, options, children = [], left = [] } = parseObject(text) ?? {}
  return (
    isText(profile) &&
    isText(format) &&
    isCount(revision) &&
    isObject(options) &&
    isDigests(children) &&
    isDigests(left)
  )
}

function isDigests(list: unknown): boolean {
  return Array.isArray(list) && list.every((one) => isText(one) && isDigest(one))
}

function parseJson(bytes: Uint8Array): object {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (value !== null && typeof value === 'object') return value
  } catch {
    // Said below.
  }
  throw malformed()
}

function malformed(): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `${DESCRIPTION_FILE} in the bundle is malformed; copy the bundle again or make it again`,
  )
}
