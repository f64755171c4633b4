/** What is done to names in the store: pinned, let go, forgotten, asked about upstream. The same for commands and the API. */
import type { Restorations } from '../convert/restorations.ts'
import type { Profiles } from '../config/profiles.ts'
import { Inventory } from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import { splitSuffix } from '../oci/reference.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Pin, Pins } from '../ports/pins.ts'
import type { Upstreams } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Tags } from '../pull/tags.ts'
import type { Pinned } from '../upkeep/pinned.ts'
import { Releases } from '../upkeep/releases.ts'
import type { ImagesAsk } from './asks.ts'
import { formatImage, type NamedImage } from './named-image.ts'
import { askForSignatures, type FoundSignature } from './signatures.ts'

export interface NamesDeps {
  readonly catalog: Catalog
  readonly clock: Clock
  readonly manifests: Manifests
  readonly offline: boolean
  /** Throws for what is no name of an image. */
  readonly parseImage: (text: string) => NamedImage
  readonly pinned: Pinned
  readonly pins: Pins
  readonly profiles: Profiles
  readonly restorations: Restorations
  readonly store: BlobStore
  readonly tags: Tags
  readonly upstreams: Upstreams
}

export interface PinResult {
  readonly name: string
  /** False: it is not in the store. */
  readonly pinned: boolean
  readonly digest: Digest | null
  /** In the store, that the pin keeps. */
  readonly bytes: number
}

export interface UnpinResult {
  readonly name: string
  /** False: it was not pinned. */
  readonly unpinned: boolean
}

export interface RemoveResult {
  readonly name: string
  /** False: it was not in the store. */
  readonly removed: boolean
  /** Profiles of the conversions that went with it. */
  readonly conversions: readonly string[]
  /** Names whose pins went with it: of it, and of forms of it. */
  readonly unpinned: readonly string[]
}

export interface RecheckResult {
  readonly name: string
  /** What it named before; `null`: nobody knew it. */
  readonly before: Digest | null
  /** What it names now; `null`: upstream does not have it any more. */
  readonly digest: Digest | null
  readonly moved: boolean
}

export interface SignaturesResult {
  readonly name: string
  readonly digest: Digest | null
  readonly signatures: readonly FoundSignature[]
}

export async function pin(deps: NamesDeps, { images }: ImagesAsk): Promise<readonly PinResult[]> {
  const results: PinResult[] = []
  for (const { name, pin } of images.map((text) => namedPin(deps.parseImage(text)))) {
    const digest = await deps.pinned.find(pin)
    if (digest !== undefined) await deps.pins.add(pin)
    const bytes = digest === undefined ? 0 : await sizeBelow(deps, pin)
    results.push({ name, pinned: digest !== undefined, digest: digest ?? null, bytes })
  }
  return results
}

export async function unpin(
  deps: NamesDeps,
  { images }: ImagesAsk,
): Promise<readonly UnpinResult[]> {
  const results: UnpinResult[] = []
  for (const { name, pin } of images.map((text) => namedPin(deps.parseImage(text)))) {
    results.push({ name, unpinned: await deps.pins.remove(pin) })
  }
  return results
}

export function checkRemove(deps: Pick<NamesDeps, 'parseImage'>, ask: ImagesAsk) {
  return taggedIn(deps, ask, 'only names are forgotten')
}

export async function remove(
  deps: NamesDeps,
  { images }: ImagesAsk,
): Promise<readonly RemoveResult[]> {
  const inventory = new Inventory(deps)
  const releases = new Releases(deps)
  const results: RemoveResult[] = []
  for (const { repository, tag, name } of checkRemove(deps, { images })) {
    const conversions = await conversionsOf(name, inventory)
    const removed = await releases.after(() => inventory.remove(repository, tag))
    const unpinned = await unpinBelow(deps, repository, tag)
    results.push({ name, removed, conversions, unpinned })
  }
  return results
}

/** A pin of a name that is gone keeps nothing, but would keep whatever that name leads to one day. Those of digests stay. */
async function unpinBelow(
  { pins, pinned, profiles }: NamesDeps,
  repository: Repository,
  tag: string,
): Promise<readonly string[]> {
  const isBelow = ({ reference }: Pin) =>
    reference === tag || splitSuffix(reference, profiles.suffixes)?.base === tag
  const names: string[] = []
  for (const pin of await pins.list()) {
    const { reference } = pin
    if (!isSameRepository(pin, repository) || isDigest(reference) || !isBelow(pin)) continue
    const isGone = (await pinned.find(pin)) === undefined
    if (!isGone || !(await pins.remove(pin))) continue
    names.push(formatImage({ repository, reference: { tag: reference } }))
  }
  return names
}

export function checkRecheck(deps: Pick<NamesDeps, 'parseImage' | 'offline'>, ask: ImagesAsk) {
  if (deps.offline) throw offline()
  return taggedIn(deps, ask, 'only tags move')
}

/** Asks upstream now, however short ago it was asked. Throws what upstream fails with. */
export async function recheck(
  deps: NamesDeps,
  { images }: ImagesAsk,
): Promise<readonly RecheckResult[]> {
  const results: RecheckResult[] = []
  for (const one of checkRecheck(deps, { images })) {
    const { repository } = one
    const tag = await sourceTag(deps, repository, one.tag)
    const before = (await deps.catalog.tags.find(repository, tag))?.digest ?? null
    const digest = (await deps.tags.refresh(repository, tag))?.digest ?? null
    const name = formatImage({ repository, reference: { tag } })
    results.push({ name, before, digest, moved: before !== null && before !== digest })
  }
  return results
}

export function checkSignatures(deps: Pick<NamesDeps, 'parseImage' | 'offline'>, ask: ImagesAsk) {
  if (deps.offline) throw offline()
  return taggedIn(deps, ask, 'only tags are looked up')
}

/** Asks upstream what signs the sources of these images. */
export async function signatures(
  deps: NamesDeps,
  { images }: ImagesAsk,
): Promise<readonly SignaturesResult[]> {
  const results: SignaturesResult[] = []
  for (const one of checkSignatures(deps, { images })) {
    const { repository } = one
    const tag = await sourceTag(deps, repository, one.tag)
    const digest = (await deps.tags.resolve(repository, tag))?.digest ?? null
    const found = digest === null ? [] : await askForSignatures(deps.upstreams, repository, digest)
    const name = formatImage({ repository, reference: { tag } })
    results.push({ name, digest, signatures: found })
  }
  return results
}

/** The tag that upstream has: without a suffix that names a profile, unless upstream has it with it. */
export async function sourceTag(
  { catalog, profiles }: Pick<NamesDeps, 'catalog' | 'profiles'>,
  repository: Repository,
  tag: string,
): Promise<string> {
  if ((await catalog.tags.find(repository, tag)) !== undefined) return tag
  return splitSuffix(tag, profiles.suffixes)?.base ?? tag
}

/** Throws `requestInvalid` for a digest, since `why`. */
export function tagged(image: NamedImage, why: string) {
  const { repository, reference, text } = image
  if ('tag' in reference) return { repository, tag: reference.tag, name: formatImage(image) }
  throw new CrossdockError('requestInvalid', `${text}: ${why}; say a tag instead of the digest`)
}

function taggedIn(deps: Pick<NamesDeps, 'parseImage'>, { images }: ImagesAsk, why: string) {
  return images.map((text) => tagged(deps.parseImage(text), why))
}

function namedPin(image: NamedImage): { readonly name: string; readonly pin: Pin } {
  const { repository, reference } = image
  const text = 'tag' in reference ? reference.tag : reference.digest
  return { name: formatImage(image), pin: { ...repository, reference: text } }
}

async function sizeBelow({ pinned, store }: NamesDeps, pin: Pin): Promise<number> {
  let bytes = 0
  for (const digest of await pinned.below([pin])) bytes += (await store.stat(digest))?.size ?? 0
  return bytes
}

/** Profiles of what goes with a name; of a name with a suffix nothing but itself goes. */
async function conversionsOf(name: string, inventory: Inventory): Promise<string[]> {
  const profiles = new Set<string>()
  for await (const { profile } of inventory.list((one) => one === name)) {
    if (profile !== undefined) profiles.add(profile)
  }
  return [...profiles]
}

function offline(): CrossdockError {
  return new CrossdockError(
    'requestInvalid',
    'crossdock is offline (cache.offline), and asks nobody; import what is new',
    { reason: 'offline' },
  )
}
