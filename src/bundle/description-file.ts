/** `bundle.json`: the description of a bundle, written and read. */
import { CrossdockError } from '../errors.ts'
import { digestOf, isDigest } from '../oci/digest.ts'
import { isText } from '../lib/shapes.ts'
import type { BundleDescription, IdentifiedBundle } from './description.ts'
import { DESCRIPTION_FILE } from './layout-files.ts'
import {
  isListOf,
  isSoundBlob,
  isSoundConversion,
  isSoundImage,
  isSoundList,
  isSoundManifest,
} from './sound-descriptions.ts'

/** Raise when an older crossdock could not import what a newer one writes. */
const VERSION = 1

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
