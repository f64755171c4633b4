/** Pure: whether what `bundle.json` says of one thing has the shape that its readers count on. */
import { isCount, isObject, isText, isTextMap, parseObject } from '../lib/shapes.ts'
import { isDigest } from '../oci/digest.ts'
import { isName, isTag } from '../oci/reference.ts'
import type {
  BundledBlob,
  BundledConversion,
  BundledImage,
  BundledList,
  BundledManifest,
} from './description.ts'

export function isListOf<T>(list: readonly T[], isSound: (item: T) => boolean): boolean {
  return Array.isArray(list) && list.every((item) => isObject(item as unknown) && isSound(item))
}

export function isSoundImage({ name, reference, digest }: BundledImage): boolean {
  return isText(name) && isText(reference) && isDigest(digest)
}

export function isSoundBlob(blob: BundledBlob): boolean {
  return isDigest(blob.digest) && isCount(blob.size)
}

function isRepository(text: string): boolean {
  return isText(text) && /^[^/\s]+\/./.test(text) && isName(text.slice(text.indexOf('/') + 1))
}

export function isSoundManifest(manifest: BundledManifest): boolean {
  const { repository, mediaType, tags } = manifest
  return (
    isSoundBlob(manifest) &&
    isRepository(repository) &&
    isText(mediaType) &&
    Array.isArray(tags) &&
    tags.every((tag) => isText(tag) && isTag(tag))
  )
}

export function isSoundList({ repository, source, profile, list }: BundledList): boolean {
  return isRepository(repository) && isDigest(source) && isText(profile) && isDigest(list)
}

export function isSoundConversion(made: BundledConversion): boolean {
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
