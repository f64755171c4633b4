/** The images in the store, for people: a page of names with their variants, and everything that is known of one of them. */
import type { Form, Member } from '../convert/forms.ts'
import { type Entry, type Inspection, Inventory } from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
import { compileGlob } from '../lib/glob.ts'
import type { Digest } from '../oci/digest.ts'
import { formatPlatform } from '../oci/platform.ts'
import type { Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Pins } from '../ports/pins.ts'
import type { TagName } from '../ports/tags.ts'
import type { Pinned } from '../upkeep/pinned.ts'
import { sourceTag } from './act-on-names.ts'
import type { BlobRead } from './blob-reads.ts'
import { knownSignatures } from './signatures.ts'

export type ImagesDeps = ConstructorParameters<typeof Inventory>[0] & {
  readonly catalog: Catalog
  /** What clients took of these blobs since the start, together. */
  readonly reads: (digests: readonly Digest[]) => Promise<BlobRead>
  readonly pins: Pins
  readonly pinned: Pick<Pinned, 'find'>
}

export interface ImagePageAsk {
  /** Part of a name, or a glob where it has a star or a question mark. */
  readonly match?: string | undefined
  /** The last name of the page before: `docker.io/library/alpine:3`. */
  readonly after?: string | undefined
  readonly limit: number
}

export type ImageRow = ReturnType<typeof describeRow>
export type ImageDetail = Awaited<ReturnType<typeof describeImage>>

/** Names in order, at most `limit` of them; `next` is what to ask the next page with. */
export async function listImages(deps: ImagesDeps, ask: ImagePageAsk) {
  const inventory = new Inventory(deps)
  const isPinned = await pinTest(deps)
  const after = ask.after === undefined ? undefined : parseTagName(ask.after)
  const images: Entry[][] = []
  let next: string | null = null
  for await (const entry of inventory.list(matcher(ask.match), after)) {
    const isSource = entry.profile === undefined
    if (isSource && images.length === ask.limit) {
      next = nameOf(images.at(-1)?.[0] ?? entry)
      break
    }
    if (isSource) images.push([entry])
    else images.at(-1)?.push(entry)
  }
  const rows = images.map((entries) => describeRow(entries, isPinned))
  return { images: rows, next }
}

function describeRow(entries: readonly Entry[], isPinned: PinTest) {
  const [source] = entries
  if (source === undefined) throw new Error('an image has its source at least')
  return {
    image: nameOf(source),
    digest: source.digest,
    variants: entries.map(({ repository, profile, digest, size, isCurrent, lastUsed }) => ({
      profile: profile ?? 'original',
      digest,
      size: size.total,
      stored: size.stored,
      current: isCurrent,
      lastUsed: lastUsed ?? null,
      pinned: isPinned(repository, digest),
    })),
  }
}

/** Of what the store knows, with a profile's suffix or without; nobody upstream is asked. Throws `manifestUnknown` for what is not in it. */
export async function describeImage(deps: ImagesDeps, repository: Repository, asked: string) {
  const { catalog, manifests } = deps
  const tag = await sourceTag(deps, repository, asked)
  const known = await catalog.tags.find(repository, tag)
  const image = `${repository.upstream}/${repository.name}:${tag}`
  if (known === undefined) throw notHere(image)
  const isPinned = await pinTest(deps)
  const isHere = (await manifests.findLocal(repository, known.digest)) !== undefined
  const found = isHere ? await new Inventory(deps).inspect(repository, known.digest, []) : undefined
  return {
    image,
    name: `${repository.upstream}/${repository.name}`,
    tag,
    digest: known.digest,
    checkedAt: known.checkedAt,
    /** False: its manifest was evicted, and comes back when somebody asks for it. */
    here: isHere,
    signatures: await knownSignatures(catalog, repository, known.digest),
    variants: found === undefined ? [] : await describeForms(deps, found, isPinned),
  }
}

async function describeForms(deps: ImagesDeps, found: Inspection, isPinned: PinTest) {
  const forms = []
  for (const form of [found.source, ...found.conversions]) {
    forms.push({
      ...(await describeForm(deps, form)),
      pinned: isPinned(found.repository, form.digest),
    })
  }
  return forms
}

async function describeForm(deps: ImagesDeps, form: Form) {
  const { profile = 'original', digest, mediaType, size, members, unseen } = form
  const platforms = []
  for (const member of members) platforms.push(await describeMember(deps, member, form))
  const uses = [digest, ...members.map((member) => member.digest)].map((one) =>
    deps.catalog.usage.find(one),
  )
  const lastUsed = Math.max(...(await Promise.all(uses)).map((time) => time ?? 0))
  return {
    profile,
    digest,
    mediaType,
    size: size.total,
    stored: size.stored,
    current: form.isCurrent ?? true,
    convertedAt: form.convertedAt ?? null,
    seconds: form.seconds ?? null,
    lastUsed: lastUsed === 0 ? null : lastUsed,
    reads: await deps.reads([...form.blobs.keys()]),
    platforms,
    /** Platforms whose manifests nobody has asked for. */
    unseen: unseen.length,
  }
}

async function describeMember({ catalog }: ImagesDeps, member: Member, { profile }: Form) {
  const { digest, platform, layers, size } = member
  const [made] =
    profile === undefined ? [] : await catalog.conversions.listImages({ target: digest })
  const fallbacks = (made?.layers ?? []).flatMap(({ source, target, fallback }) =>
    fallback === undefined ? [] : [{ source, target, reason: fallback.why }],
  )
  return {
    digest,
    platform: platform === undefined ? null : formatPlatform(platform),
    layers,
    size: size.total,
    stored: size.stored,
    /** Layers that have a plainer form than the profile asks for, and why. */
    fallbacks,
  }
}

type PinTest = (repository: Repository, digest: Digest) => boolean

async function pinTest({ pins, pinned }: Pick<ImagesDeps, 'pins' | 'pinned'>): Promise<PinTest> {
  const found = new Set<string>()
  const keyOf = ({ upstream, name }: Repository, digest: Digest) => `${upstream}/${name}@${digest}`
  for (const pin of await pins.list()) {
    const digest = await pinned.find(pin)
    if (digest !== undefined) found.add(keyOf(pin, digest))
  }
  return (repository, digest) => found.has(keyOf(repository, digest))
}

function matcher(match = ''): (name: string) => boolean {
  if (/[*?]/.test(match)) {
    const glob = compileGlob(/:[^/]*$/.test(match) ? match : `${match}:*`)
    return (name) => glob.test(name)
  }
  const part = match.trim().toLowerCase()
  return (name) => name.toLowerCase().includes(part)
}

function nameOf({ repository, tag }: Pick<Entry, 'repository' | 'tag'>): string {
  return `${repository.upstream}/${repository.name}:${tag}`
}

/** The upstream is all before the first slash. Throws `requestInvalid`. */
function parseTagName(text: string): TagName {
  const [, upstream, name, tag] = /^([^/]+)\/(.+):([^:/]+)$/.exec(text) ?? []
  if (upstream !== undefined && name !== undefined && tag !== undefined) {
    return { upstream, name, tag }
  }
  throw new CrossdockError(
    'requestInvalid',
    `${JSON.stringify(text.slice(0, 200))} is no name UPSTREAM/REPOSITORY:TAG; take it from "next" of the page before`,
  )
}

function notHere(image: string): CrossdockError {
  return new CrossdockError(
    'manifestUnknown',
    `${image} is not in the store; pull it, or stage it ahead`,
  )
}
