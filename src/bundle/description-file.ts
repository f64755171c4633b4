/** `bundle.json`: the description of a bundle, written and read. */
import { CrossdockError } from '../errors.ts'
import { isText } from '../lib/shapes.ts'
import { digestOf, isDigest } from '../oci/digest.ts'
import { isRecordedConversion, madeOf, type Recorded, recorded } from '../recorded.ts'
import {
  type BundleDescription,
  type BundledConversion,
  type IdentifiedBundle,
  rebuiltIn,
} from './description.ts'
import { DESCRIPTION_FILE } from './layout-files.ts'
import {
  isListOf,
  isSoundBlob,
  isSoundCarriedLayer,
  isSoundImage,
  isSoundList,
  isSoundManifest,
} from './sound-descriptions.ts'

/** Raise when an older crossdock could not import what a newer one writes. */
const VERSION = 2
/** Enough for a bundle of which every blob lies in it as it is: what crossdocks read that rebuild nothing. */
const PLAIN_VERSION = 1

/** As it is written. */
interface RecordedBundle extends Omit<IdentifiedBundle, 'conversions'> {
  readonly conversions: readonly Recorded<BundledConversion>[]
}

export function formatDescription(bundle: BundleDescription): string {
  const { images, manifests, lists = [], requires, blobs, omitted } = bundle
  const { layers, materials = [] } = bundle
  const conversions = bundle.conversions.map(recorded)
  const listed = lists.length > 0 && { lists }
  const how = { ...(layers && { layers }), ...(materials.length > 0 && { materials }) }
  const rest = { images, requires, manifests, conversions, ...listed, ...how, blobs, omitted }
  const id = digestOf(new TextEncoder().encode(JSON.stringify(rest)))
  const bundleVersion = rebuiltIn(bundle).length > 0 ? VERSION : PLAIN_VERSION
  return `${JSON.stringify({ bundleVersion, id, ...rest }, null, 2)}\n`
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
  const bundle = raw as RecordedBundle
  const isSound =
    (bundleVersion === VERSION || bundleVersion === PLAIN_VERSION) &&
    isDigest(bundle.id) &&
    isListOf(bundle.images, isSoundImage) &&
    isListOf(bundle.manifests, isSoundManifest) &&
    isListOf(bundle.conversions, isRecordedConversion) &&
    isListOf(bundle.lists ?? [], isSoundList) &&
    isListOf(bundle.requires, (one) => isDigest(one.id) && isText(one.name)) &&
    isListOf(bundle.blobs, isSoundBlob) &&
    isListOf(bundle.omitted, isSoundBlob) &&
    isListOf(bundle.materials ?? [], isSoundBlob) &&
    isListOf(bundle.layers ?? [], isSoundCarriedLayer)
  if (!isSound) throw malformed()
  const conversions = bundle.conversions.map(madeOf)
  return { ...bundle, conversions: conversions.filter((one) => one !== undefined) }
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
