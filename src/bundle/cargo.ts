/** What goes into a bundle: every manifest, config and layer that the chosen images, their sources and referrers need. */

import type { Pulls } from '../convert/pulls.ts'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import { isAttestation, REFERENCE_DIGEST } from '../oci/image-kind.ts'
import type { Descriptor, ImageManifest, Platform } from '../oci/manifest.ts'
import { blobsOf, childrenOf, isInRegistry, type Outline, referredBy } from '../oci/outline.ts'
import { formatPlatform, matchesPlatform } from '../oci/platform.ts'
import { fullName, isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import { recipeText } from '../ports/recipe.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { CarriedList } from '../priorities/known-lists.ts'
import { blobUnknown } from '../pull/blobs.ts'
import { walkManifests } from '../pull/manifest-walk.ts'
import type { Manifests } from '../pull/manifests.ts'
import { isProvenByRemaking } from './misfiled.ts'
import type { Referrers } from './referrers.ts'

export interface CargoManifest {
  readonly repository: Repository
  readonly raw: RawManifest
  readonly parsed: Outline
  readonly tags: Set<string>
}

export interface CargoBlob {
  readonly digest: Digest
  readonly size: number
  /** Through which it is read. */
  readonly repository: Repository
}

/** An image that was asked for, as it lies in the bundle. */
export interface Shipment {
  readonly root: RawManifest
  readonly images: readonly ShippedImage[]
  /** Present when the image was converted. */
  readonly conversion: ConvertedImage | undefined
  /** Whether it was, and the layers of its source were asked for. */
  readonly withSource: boolean
  /** Platforms that its index names and that stay here. */
  readonly leftOut: readonly string[]
  /** Platforms of a converted index that go as originals. */
  readonly originals: readonly string[]
  /** The conversion that was asked for and stays here, when this is its source. */
  readonly form?: ConvertedImage
}

export interface ShippedImage {
  readonly digest: Digest
  readonly manifest: ImageManifest
  readonly platform: Platform | undefined
}

export interface ShipOptions {
  readonly platforms: 'all' | readonly Platform[]
  /** Whether the layers of a conversion's source go along. */
  readonly withSources: boolean
  /** True for a conversion in whose place its source goes; none unless given. */
  readonly stays?: (made: ConvertedImage) => boolean
  /** False: how a converted image was made stays here, as where it goes nobody could use that. */
  readonly withHistory?: boolean
}

/** A signature of a signature of an SBOM is the most that is followed. */
const MAX_REFERRER_DEPTH = 3

export interface CargoDeps {
  readonly pulls: Pulls
  readonly manifests: Manifests
  readonly catalog: Catalog
  readonly referrers: Referrers
}

export class Cargo {
  readonly #deps: CargoDeps
  /** By repository and digest, in the order in which they were found. */
  readonly #found = new Map<string, CargoManifest>()
  readonly #blobs = new Map<Digest, CargoBlob>()
  readonly #conversions = new Map<string, ConvertedImage>()
  /** Manifests of referrers, which no client should take for images. */
  readonly #lists = new Map<string, CarriedList>()
  readonly #attached = new Map<string, CargoManifest>()

  constructor(deps: CargoDeps) {
    this.#deps = deps
  }

  get manifests(): readonly CargoManifest[] {
    return [...this.#found.values()]
  }

  get attached(): readonly CargoManifest[] {
    return [...this.#attached.values()]
  }

  get blobs(): readonly CargoBlob[] {
    return [...this.#blobs.values()]
  }

  get lists(): readonly CarriedList[] {
    return [...this.#lists.values()]
  }

  get conversions(): readonly ConvertedImage[] {
    return [...this.#conversions.values()]
  }

  /** Adds an image that is staged: what its puller gets, how it was made and from what, and what refers to either. */
  async ship(repository: Repository, digest: Digest, options: ShipOptions): Promise<Shipment> {
    const [form] = await this.#findConversions(repository, digest)
    if (form !== undefined && options.stays?.(form)) {
      const shipment = await this.ship(repository, form.source, { ...options, stays: () => false })
      return { ...shipment, form }
    }
    const subjects = new Set<Digest>()
    const images: ShippedImage[] = []
    const leftOut = new Set<string>()
    const tree = { repository, platforms: options.platforms, subjects }
    const root = await this.#add({ ...tree, withBlobs: true, images, leftOut }, digest)
    const conversion = await this.#conversionOf(repository, digest)
    let originals: readonly string[] = []
    const withSource = conversion !== undefined && options.withSources
    if (conversion !== undefined && options.withHistory !== false) {
      const withBlobs = options.withSources || isProvenByRemaking(conversion)
      const source = await this.#add({ ...tree, withBlobs, images: [] }, conversion.source)
      originals = originalsOf(images, source.parsed, conversion)
    }
    await this.#attach(repository, subjects, 1)
    return { root: root.raw, images, conversion, withSource, leftOut: [...leftOut], originals }
  }

  /** Takes over what was collected elsewhere. */
  absorb(other: Cargo): void {
    for (const [key, one] of other.#found) {
      const known = this.#found.get(key)
      if (known === undefined) this.#found.set(key, one)
      else for (const tag of one.tags) known.tags.add(tag)
    }
    for (const [key, one] of other.#attached) {
      this.#attached.set(key, this.#found.get(keyOf(one.repository, one.raw.digest)) ?? one)
    }
    for (const blob of other.#blobs.values()) this.addBlob(blob)
    for (const [key, one] of other.#conversions) this.#conversions.set(key, one)
    for (const [key, one] of other.#lists) this.#lists.set(key, one)
  }

  /** Notes that a tag names a manifest. */
  claim(repository: Repository, tag: string, digest: Digest): void {
    this.#found.get(keyOf(repository, digest))?.tags.add(tag)
  }

  /** Adds the list that a profile lays a source out by. */
  addList(carried: CarriedList, list: CargoBlob): void {
    const { repository, source, profile } = carried
    this.#lists.set(`${keyOf(repository, source)} ${profile}`, carried)
    this.addBlob(list)
  }

  addBlob(blob: CargoBlob): void {
    if (!this.#blobs.has(blob.digest)) this.#blobs.set(blob.digest, blob)
  }

  async #conversionOf(repository: Repository, target: Digest): Promise<ConvertedImage | undefined> {
    const here = await this.#findConversions(repository, target)
    for (const one of here) {
      this.#conversions.set(`${keyOf(repository, target)} ${recipeText(one.recipe)}`, one)
    }
    return here[0]
  }

  async #findConversions(repository: Repository, target: Digest) {
    const made = await this.#deps.catalog.conversions.listImages({ target })
    return made.filter((one) => isSameRepository(one.repository, repository))
  }

  /** Adds a manifest and everything wanted below it. */
  async #add(tree: Tree, digest: Digest): Promise<CargoManifest> {
    const { repository, leftOut } = tree
    const carried = new Set<string>()
    const root = await this.#deps.pulls.byDigest(repository, digest, undefined)
    const visits = walkManifests(root, {
      outline: (raw) => this.#deps.manifests.outline(raw),
      beyond: 'refuse',
      follows: (child) => {
        const isCarried = isWanted(child, tree, carried)
        if (isCarried) carried.add(child.digest)
        else if (!isAttestation(child) && child.platform !== undefined) {
          leftOut?.add(formatPlatform(child.platform))
        }
        return isCarried
      },
      load: (child) => this.#find(repository, child.digest),
    })
    let first: CargoManifest | undefined
    for await (const { raw, manifest, descriptor } of visits) {
      const found = await this.#addOne(tree, raw, manifest)
      first ??= found
      await this.#addBlobs(repository, manifest, tree.withBlobs)
      if (manifest.kind !== 'image' || descriptor?.artifactType !== undefined) continue
      tree.images.push({ digest: raw.digest, manifest, platform: descriptor?.platform })
    }
    if (first === undefined) throw new Error('a walk begins with its root')
    return first
  }

  /** `undefined`: an index names it, and it is not there. */
  async #find(repository: Repository, digest: Digest): Promise<RawManifest | undefined> {
    try {
      return await this.#deps.pulls.byDigest(repository, digest, undefined)
    } catch (error) {
      if (error instanceof CrossdockError && error.kind === 'manifestUnknown') return undefined
      throw error
    }
  }

  async #addOne(
    { repository, subjects }: Tree,
    { digest, mediaType, bytes }: RawManifest,
    parsed: Outline,
  ): Promise<CargoManifest> {
    const key = keyOf(repository, digest)
    const found = this.#found.get(key) ?? {
      repository,
      raw: { digest, mediaType, bytes },
      parsed,
      tags: new Set<string>(),
    }
    this.#found.set(key, found)
    subjects.add(digest)
    await this.#conversionOf(repository, digest)
    return found
  }

  /** The config always: a conversion cannot be checked or made again without it. */
  async #addBlobs(repository: Repository, image: Outline, withLayers: boolean): Promise<void> {
    for (const blob of blobsOf(image)) {
      if (!withLayers && blob.role !== 'config') continue
      if (isInRegistry(blob)) this.addBlob({ digest: blob.digest, size: blob.size, repository })
    }
    if (!withLayers) return
    for (const digest of referredBy(image)) {
      const blob = await this.#deps.pulls.blob(repository, digest)
      if (blob === undefined) throw blobUnknown(repository, digest)
      this.addBlob({ digest, size: blob.size, repository })
    }
  }

  async #attach(repository: Repository, subjects: Iterable<Digest>, depth: number): Promise<void> {
    if (depth > MAX_REFERRER_DEPTH) return
    for (const subject of subjects) {
      for (const { digest, tag } of await this.#deps.referrers.list(repository, subject)) {
        const next = new Set<Digest>()
        const key = keyOf(repository, digest)
        const isNew = !this.#found.has(key)
        const tree = { repository, platforms: 'all', withBlobs: true, subjects: next } as const
        const found = await this.#add({ ...tree, images: [] }, digest)
        if (tag !== undefined) found.tags.add(tag)
        if (!isNew) continue
        this.#attached.set(key, found)
        for (const one of next) this.#attached.set(keyOf(repository, one), found)
        await this.#attach(repository, next, depth + 1)
      }
    }
  }
}

/** What is followed below a manifest. */
interface Tree extends Pick<ShipOptions, 'platforms'> {
  readonly repository: Repository
  readonly withBlobs: boolean
  /** Collects every manifest that something may refer to. */
  readonly subjects: Set<Digest>
  readonly images: ShippedImage[]
  /** Collects the platforms that are not followed. */
  readonly leftOut?: Set<string>
}

/** An attestation goes with the image that it speaks of, which comes before it. */
function isWanted(child: Descriptor, { platforms }: Tree, carried: ReadonlySet<string>): boolean {
  if (platforms === 'all') return true
  const subject = child.annotations?.[REFERENCE_DIGEST]
  if (isAttestation(child)) return subject !== undefined && carried.has(subject)
  const { platform } = child
  return platform === undefined || platforms.some((one) => matchesPlatform(one, platform))
}

/** What was not to be converted, and what could not be. */
function originalsOf(
  images: readonly ShippedImage[],
  source: Outline,
  { recipe }: ConvertedImage,
): readonly string[] {
  const { children, left = [] } = recipe
  if (children === undefined) return []
  const asked = new Set(children)
  const others = childrenOf(source).map(({ digest }) => digest)
  const originals = new Set([...left, ...others.filter((digest) => !asked.has(digest))])
  return platformsOf(images.filter(({ digest }) => originals.has(digest)))
}

/** What is carried of an index, for people. */
export function platformsOf(images: readonly ShippedImage[]): string[] {
  const named = images
    .map(({ platform }) => platform)
    .filter((platform) => platform !== undefined && platform.os !== 'unknown')
  return [...new Set(named.map((platform) => formatPlatform(platform as Platform)))]
}

export function keyOf(repository: Repository, digest: Digest): string {
  return `${fullName(repository)}@${digest}`
}
