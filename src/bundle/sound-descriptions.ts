/** Pure: whether what `bundle.json` says of one thing has the shape that its readers count on. */
import { isCount, isObject, isText } from '../lib/shapes.ts'
import { isDigest } from '../oci/digest.ts'
import { isName, isTag } from '../oci/reference.ts'
import type {
  BundledBlob,
  BundledForm,
  BundledImage,
  BundledLayer,
  BundledList,
  BundledManifest,
} from './description.ts'

export function isListOf<T>(list: readonly T[], isSound: (item: T) => boolean): boolean {
  return Array.isArray(list) && list.every((item) => isObject(item as unknown) && isSound(item))
}

export function isSoundImage({ name, reference, digest, forms = [] }: BundledImage): boolean {
  return isText(name) && isText(reference) && isDigest(digest) && isListOf(forms, isSoundForm)
}

function isSoundForm({ reference, profile, digest, children = [] }: BundledForm): boolean {
  const isSound = digest === undefined || isDigest(digest)
  return isText(reference) && isText(profile) && isSound && isDigests(children)
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

export function isSoundCarriedLayer(layer: BundledLayer): boolean {
  if (!isSoundBlob(layer)) return false
  if (layer.travels === 'whole') return isText(layer.why)
  return (
    layer.travels === 'as-tar' &&
    [layer.tar, layer.corrections].every((one) => isObject(one) && isSoundBlob(one))
  )
}

function isDigests(list: unknown): boolean {
  return Array.isArray(list) && list.every((one) => isText(one) && isDigest(one))
}
