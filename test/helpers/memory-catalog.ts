/** A catalog in memory: for unit tests and as the model that the real one is held to. */
import type { Digest } from '../../src/oci/digest.ts'
import type { Platform } from '../../src/oci/manifest.ts'
import type { Repository } from '../../src/oci/repository.ts'
import { isWritten, linksOf } from '../../src/outputs.ts'
import type { Catalog } from '../../src/ports/catalog.ts'
import type {
  ConversionCatalog,
  ConvertedImage,
  ConvertedLayer,
  ImageKey,
  LayerKey,
  KnownLayer,
} from '../../src/ports/conversions.ts'
import type { Leases } from '../../src/ports/leases.ts'
import type { Fence } from '../../src/ports/shared-turns.ts'
import { leaseLost } from '../../src/store/held-lease.ts'
import type { Link, LinkCatalog } from '../../src/ports/links.ts'
import type { PlatformCatalog } from '../../src/ports/platforms.ts'
import { optionsText, recipeText } from '../../src/ports/recipe.ts'
import type { Retention, RetentionCatalog, UsageCatalog } from '../../src/ports/retention.ts'
import type { TagCatalog, TagName, KnownTag } from '../../src/ports/tags.ts'

export class MemoryCatalog implements Catalog {
  readonly tags = new MemoryTags()
  readonly links = new MemoryLinks()
  readonly conversions = new MemoryConversions()
  readonly platforms = new MemoryPlatforms()
  readonly usage = new MemoryUsage()
  readonly retention = new MemoryRetention(this.links, this.usage)

  async publish(image: ConvertedImage): Promise<void> {
    for (const layer of image.layers) await this.conversions.recordLayer(layer)
    this.conversions.put(image)
    await this.links.record(image.repository, linksOf(image))
  }

  async check(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

type TagEntry = KnownTag & Repository & { readonly tag: string }

class MemoryTags implements TagCatalog {
  readonly #tags = new Map<string, TagEntry>()

  async find(repository: Repository, tag: string): Promise<KnownTag | undefined> {
    const found = this.#tags.get(textOf(repository, tag))
    return found && { digest: found.digest, checkedAt: found.checkedAt }
  }

  async record({ upstream, name }: Repository, tag: string, record: KnownTag): Promise<void> {
    this.#tags.set(textOf({ upstream, name }, tag), { upstream, name, tag, ...record })
  }

  async forget(repository: Repository, tag: string): Promise<boolean> {
    return this.#tags.delete(textOf(repository, tag))
  }

  async *listAfter({ tag, ...repository }: TagName): AsyncGenerator<TagEntry> {
    const last = textOf(repository, tag)
    for (const key of [...this.#tags.keys()].sort()) {
      const entry = this.#tags.get(key)
      if (entry && key > last) yield entry
    }
  }

  async *list(repository?: Repository): AsyncGenerator<TagEntry> {
    const wanted = repository && textOf(repository, '')
    const keys = [...this.#tags.keys()].sort()
    for (const key of keys) {
      const entry = this.#tags.get(key)
      if (entry && (wanted === undefined || key.startsWith(wanted))) yield entry
    }
  }
}

class MemoryLinks implements LinkCatalog {
  readonly #links = new Map<string, Repository & Link>()
  /** The clock that links are dated by. */
  now: () => number = Date.now
  readonly #linkedAt = new Map<Digest, number>()

  async find(repository: Repository, digest: Digest): Promise<Link | undefined> {
    const found = this.#links.get(textOf(repository, digest))
    if (found === undefined) return undefined
    const { upstream: _, name: __, ...link } = found
    return link
  }

  async record({ upstream, name }: Repository, links: readonly Link[]): Promise<void> {
    for (const { digest, size, mediaType, standing, role } of links) {
      const key = textOf({ upstream, name }, digest)
      const known = this.#links.get(key)
      const link: Link = {
        digest,
        size,
        standing,
        ...(mediaType !== undefined && { mediaType }),
        ...((role ?? known?.role) !== undefined && { role: 'config' }),
      }
      this.#linkedAt.set(digest, this.now())
      this.#links.set(key, { upstream, name, ...(known ? merged(known, link) : link) })
    }
  }

  async isProvenAt(upstream: string, digest: Digest): Promise<boolean> {
    const holders = await this.holders(digest)
    return holders.some((one) => one.upstream === upstream && one.standing === 'proven')
  }

  async holders(digest: Digest): Promise<readonly (Repository & Link)[]> {
    const found = [...this.#links].filter(([, link]) => link.digest === digest)
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, link]) => link)
  }

  linkedAt(digest: Digest): number {
    return this.#linkedAt.get(digest) ?? 0
  }
}

/** A better standing replaces `named`; a media type that was not known is filled in. */
function merged(known: Link, next: Link): Link {
  const both = next.role === undefined ? known : { ...known, role: next.role }
  return mergedStanding(both, next)
}

function mergedStanding(known: Link, next: Link): Link {
  if (known.standing === 'named' && next.standing !== 'named') return next
  if (known.mediaType !== undefined || next.mediaType === undefined) return known
  if (known.standing !== 'named' && next.standing === 'named') return known
  return { ...known, mediaType: next.mediaType }
}

class MemoryConversions implements ConversionCatalog {
  readonly #layers = new Map<string, KnownLayer>()
  readonly #images = new Map<string, ConvertedImage>()

  async findLayer(key: LayerKey): Promise<KnownLayer | undefined> {
    return this.#layers.get(layerText(key))
  }

  async findLayerByTarget(target: Digest): Promise<ConvertedLayer | undefined> {
    const found = [...this.#layers.values()].flatMap((layer) => {
      const isOne = !('refused' in layer) && layer.target === target && isWritten(layer)
      return isOne ? [layer] : []
    })
    const rank = (layer: ConvertedLayer) => [
      layer.fallback === undefined ? 0 : 1,
      -layer.revision,
      layerText(layer),
    ]
    return found.sort((a, b) => compare(rank(a), rank(b)))[0]
  }

  async listLayers(source: Digest): Promise<readonly KnownLayer[]> {
    return [...this.#layers.values()]
      .filter((layer) => layer.source === source)
      .sort((a, b) => compare([layerText(a)], [layerText(b)]))
  }

  async recordLayer(layer: KnownLayer): Promise<void> {
    this.#layers.set(layerText(layer), layer)
  }

  async keepLayer(layer: ConvertedLayer): Promise<void> {
    await this.recordLayer(layer)
  }

  async findImage(key: ImageKey): Promise<ConvertedImage | undefined> {
    return this.#images.get(imageText(key))
  }

  async listImages(by: {
    readonly source?: Digest
    readonly target?: Digest
    readonly output?: Digest
  }): Promise<readonly ConvertedImage[]> {
    return [...this.#images.values()]
      .filter((image) => by.source === undefined || image.source === by.source)
      .filter((image) => by.target === undefined || image.target === by.target)
      .filter(
        ({ outputs }) => by.output === undefined || outputs.some((one) => one.digest === by.output),
      )
      .sort((a, b) => a.convertedAt - b.convertedAt)
  }

  put(image: ConvertedImage): void {
    this.#images.delete(imageText(image))
    this.#images.set(imageText(image), image)
  }

  async forgetImage(key: ImageKey): Promise<boolean> {
    return this.#images.delete(imageText(key))
  }

  async forgetLayer(target: Digest): Promise<boolean> {
    const found = [...this.#layers].filter(
      ([, layer]) => !('refused' in layer) && layer.target === target,
    )
    for (const [key] of found) this.#layers.delete(key)
    return found.length > 0
  }
}

class MemoryPlatforms implements PlatformCatalog {
  readonly #platforms = new Map<string, Map<string, { platform: Platform; usedAt: number }>>()

  async list(repository: Repository, since: number): Promise<readonly Platform[]> {
    return [...this.#of(repository)]
      .filter(([, { usedAt }]) => usedAt >= since)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, { platform }]) => platform)
  }

  async learn(repository: Repository, platform: Platform, at: number, since = 0): Promise<boolean> {
    const { os, architecture, variant, osVersion } = platform
    const known = this.#of(repository)
    for (const [key, { usedAt }] of known) if (usedAt < since) known.delete(key)
    const key = [os, architecture, variant ?? '', osVersion ?? ''].join('\0')
    const before = known.get(key)
    known.set(key, { platform, usedAt: Math.max(at, before?.usedAt ?? at) })
    return before === undefined
  }

  #of(repository: Repository) {
    const known = this.#platforms.get(textOf(repository)) ?? new Map()
    this.#platforms.set(textOf(repository), known)
    return known
  }
}

class MemoryUsage implements UsageCatalog {
  readonly #usage = new Map<Digest, number>()

  touch(digest: Digest, at: number): void {
    this.#usage.set(digest, Math.max(at, this.#usage.get(digest) ?? at))
  }

  async find(digest: Digest): Promise<number | undefined> {
    return this.#usage.get(digest)
  }

  async flush(): Promise<void> {}
}

class MemoryRetention implements RetentionCatalog {
  readonly #links: MemoryLinks
  readonly #usage: MemoryUsage
  readonly #released = new Map<Digest, number>()
  readonly #chores = new Map<string, number>()
  /** Who is asked about fences. */
  leases: Pick<Leases, 'isCurrent'> | undefined

  constructor(links: MemoryLinks, usage: MemoryUsage) {
    this.#links = links
    this.#usage = usage
  }

  async describe(digest: Digest): Promise<Retention | undefined> {
    const holders = await this.#links.holders(digest)
    if (holders.length === 0) return undefined
    const used = (await this.#usage.find(digest)) ?? 0
    const touchedAt = Math.max(this.#links.linkedAt(digest), used)
    const isManifest = holders.some((one) => one.mediaType !== undefined)
    const isConfig = holders.some((one) => one.role === 'config')
    const role = isManifest ? 'manifest' : isConfig ? 'config' : 'layer'
    return { role, touchedAt, isReleased: touchedAt <= (this.#released.get(digest) ?? -1) }
  }

  async release(digests: readonly Digest[], at: number): Promise<void> {
    for (const digest of digests) this.#released.set(digest, at)
  }

  async claimForDeletion(
    digest: Digest,
    seen: number,
    at: number,
    fence?: Fence,
  ): Promise<boolean> {
    await this.#assertHeld(fence)
    const kept = await this.describe(digest)
    if (kept !== undefined && kept.touchedAt > seen) return false
    if (kept !== undefined && kept.role !== 'layer' && !kept.isReleased) {
      await this.release([digest], at)
    }
    return true
  }

  async lastDone(chore: string): Promise<number | undefined> {
    return this.#chores.get(chore)
  }

  async done(chore: string, at: number, fence?: Fence): Promise<void> {
    await this.#assertHeld(fence)
    this.#chores.set(chore, at)
  }

  async #assertHeld(fence: Fence | undefined): Promise<void> {
    if (fence === undefined) return
    if (!(await this.leases?.isCurrent(fence.lease, fence.token))) throw leaseLost(fence.lease)
  }
}

function textOf({ upstream, name }: Repository, ...more: string[]): string {
  return [upstream, name, ...more].join('\0')
}

function layerText({ source, encoding, options, revision }: LayerKey): string {
  return [source, encoding, optionsText(options), revision].join('\0')
}

function imageText({ repository, source, recipe }: ImageKey): string {
  return textOf(repository, source, recipeText(recipe))
}

function compare(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (const [i, one] of a.entries()) {
    const other = b[i]
    if (other !== undefined && one !== other) return one < other ? -1 : 1
  }
  return 0
}
