/** The plan of an OCI layout that some other tool wrote: `ctr export`, skopeo, umoci, podman, Docker 25 and newer. */
import { CrossdockError } from '../errors.ts'
import { parseObject } from '../lib/shapes.ts'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import type { Named } from '../oci/named.ts'
import { blobsOf, childrenOf, isInRegistry, referredBy } from '../oci/outline.ts'
import { isTag, parseReference } from '../oci/reference.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStat } from '../ports/blobs.ts'
import type { BundlePlan, PlanContext, PlannedImage, PlannedManifest } from './bundle-plan.ts'
import { keyOf } from './cargo.ts'
import { cosignHint, IMAGE_NAME, type LayoutRoot, REF_NAME } from './layout-files.ts'

/** Indexes in indexes. */
export const MAX_NESTING = 3

/** Throws `badManifest` when something that an image needs is not there. */
export async function planLayout(
  index: Uint8Array,
  found: (digest: Digest) => BlobStat | undefined,
  context: PlanContext,
): Promise<BundlePlan> {
  const walk = new Walk(found, context)
  const images: PlannedImage[] = []
  const unnamed: LayoutRoot[] = []
  const roots = parseRoots(index)
  if (roots.length === 0) throw malformed()
  for (const root of roots) {
    const place = placeOf(root, context)
    if (place === undefined && roots.length > 1) {
      unnamed.push(root)
      continue
    }
    const { repository, tag } = place ?? { repository: context.fallback, tag: 'latest' }
    await walk.add(repository, root, tag)
    images.push(plannedImage(repository, tag, root.digest))
  }
  for (const root of await walk.attach(unnamed)) {
    await walk.add(context.fallback, root, undefined)
    images.push(plannedImage(context.fallback, undefined, root.digest))
  }
  return {
    images,
    manifests: walk.manifests,
    conversions: [],
    lists: [],
    forms: [],
    platforms: [],
    blobs: walk.blobs,
  }
}

/** What `index.json` names; throws `badManifest` when it is malformed. */
export function parseRoots(index: Uint8Array): LayoutRoot[] {
  const raw = parseObject(new TextDecoder().decode(index))
  // Of an empty layout some tools write null.
  const roots = raw?.manifests === null ? [] : (raw?.manifests as LayoutRoot[] | undefined)
  if (!Array.isArray(roots)) throw malformed()
  const isSound = (root: LayoutRoot) =>
    typeof root?.digest === 'string' &&
    isDigest(root.digest) &&
    typeof root.mediaType === 'string' &&
    Object.values(root.annotations ?? {}).every((value) => typeof value === 'string')
  if (!roots.every(isSound)) throw malformed()
  return roots
}

/** containerd's name, else the reference name: a full name, or a tag alone. `undefined`: it has neither, or no tag that one could ask for. */
function placeOf(
  { annotations, digest }: LayoutRoot,
  context: PlanContext,
): { readonly repository: Repository; readonly tag: string | undefined } | undefined {
  const name = annotations?.[IMAGE_NAME] ?? annotations?.[REF_NAME]
  if (name === undefined || name === '') return undefined
  if (!/[/:@]/.test(name)) {
    return isTag(name) ? { repository: context.fallback, tag: name } : undefined
  }
  const reference = parseReference(name)
  const isByDigest = reference.digest === digest && reference.tag === undefined
  return {
    repository: context.locate(reference.name),
    tag: isByDigest ? undefined : (reference.tag ?? 'latest'),
  }
}

/** A root without a name, and whose it is. */
interface Attached {
  readonly root: LayoutRoot
  readonly subject: Digest | undefined
  readonly tag: string | undefined
}

class Walk {
  readonly #found: (digest: Digest) => BlobStat | undefined
  readonly #context: PlanContext
  /** By repository and digest. */
  readonly #manifests = new Map<string, PlannedManifest & { readonly tags: string[] }>()
  readonly blobs = new Set<Digest>()

  constructor(found: (digest: Digest) => BlobStat | undefined, context: PlanContext) {
    this.#found = found
    this.#context = context
  }

  get manifests(): readonly PlannedManifest[] {
    return [...this.#manifests.values()]
  }

  /** Adds a manifest and all below it. */
  async add(
    repository: Repository,
    root: Pick<Descriptor, 'digest' | 'mediaType'>,
    tag: string | undefined,
    depth = 1,
  ): Promise<void> {
    const key = keyOf(repository, root.digest)
    const known = this.#manifests.get(key)
    if (known !== undefined) {
      if (tag !== undefined) known.tags.push(tag)
      return
    }
    if (depth > MAX_NESTING) return
    if (this.#found(root.digest) === undefined) throw incomplete(root.digest)
    const { digest, mediaType } = root
    const { read, parse, maxManifestBytes } = this.#context
    const raw = { digest, mediaType, bytes: await read(digest, maxManifestBytes) }
    const parsed = parse(raw)
    this.#manifests.set(key, { repository, raw, parsed, tags: tag === undefined ? [] : [tag] })
    this.#addBlobs(blobsOf(parsed))
    for (const referred of referredBy(parsed)) {
      if (this.#found(referred) === undefined) throw incomplete(referred)
      this.blobs.add(referred)
    }
    // An index may name platforms that were not exported.
    const children = childrenOf(parsed)
    const here = children.filter((child) => this.#found(child.digest) !== undefined)
    const [first] = children
    if (here.length === 0 && first !== undefined) throw incomplete(first.digest)
    for (const child of here) await this.add(repository, child, undefined, depth + 1)
  }

  /** Puts roots without a name beside what they refer to; gives back the others. */
  async attach(roots: readonly LayoutRoot[]): Promise<LayoutRoot[]> {
    const waiting: Attached[] = []
    for (const root of roots) waiting.push(await this.#attached(root))
    const bySubject = Map.groupBy(waiting, ({ subject }) => subject)
    const left = new Set(roots)
    // What is added is gone through as well: signatures may be signed.
    for (const { repository, raw } of this.#manifests.values()) {
      for (const { root, tag } of bySubject.get(raw.digest) ?? []) {
        await this.add(repository, root, tag)
        left.delete(root)
      }
    }
    return [...left]
  }

  async #attached(root: LayoutRoot): Promise<Attached> {
    const { digest, mediaType } = root
    if (this.#found(digest) === undefined) throw incomplete(digest)
    const hint = cosignHint(root)
    if (hint !== undefined) return { root, ...hint }
    const { read, parse, maxManifestBytes } = this.#context
    const bytes = await read(digest, maxManifestBytes)
    const subject = parse({ digest, mediaType, bytes }).subject?.digest
    return { root, subject, tag: undefined }
  }

  #addBlobs(parts: readonly Named[]): void {
    for (const part of parts) {
      const { digest, size } = part
      const here = this.#found(digest)
      if (here === undefined && !isInRegistry(part)) continue
      if (here?.size !== size) throw incomplete(digest)
      this.blobs.add(digest)
    }
  }
}

export function plannedImage(
  { upstream, name }: Repository,
  tag: string | undefined,
  digest: Digest,
): PlannedImage {
  const full = `${upstream}/${name}${tag === undefined ? `@${digest}` : `:${tag}`}`
  return { name: full, reference: full, digest }
}

function incomplete(digest: Digest): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the layout is incomplete: ${digest} is named and not there; export the image again, all platforms included`,
    { reason: 'blob-missing' },
  )
}

function malformed(): CrossdockError {
  return new CrossdockError(
    'badManifest',
    'index.json of the layout is malformed or names no image; export the image again',
  )
}
