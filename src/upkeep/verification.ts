/** Looks whether everything in the store is what it claims to be, and heals what is not. */
import type { DecodeLimits } from '../codec/codec.ts'
import { decodeLayer } from '../codec/codecs.ts'
import { CrossdockError } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import { Walk } from '../lib/walk.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import { describeUnconvertible } from '../oci/image-kind.ts'
import { type ImageManifest, type ModelLimits, parseImageConfig } from '../oci/manifest.ts'
import { findMediaType } from '../oci/media-type.ts'
import { childrenOf, type Outline, referredBy } from '../oci/outline.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Sidecar, SidecarStore } from '../ports/sidecars.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Restorations } from '../convert/restorations.ts'
import type { Healer } from './healing.ts'
import type { Pinned } from './pinned.ts'

export interface Check {
  /** `blob`: its bytes; `diffId`: what they unpack to; `sidecar`, `catalog`: what is noted about them. */
  readonly what: 'blob' | 'diffId' | 'sidecar' | 'catalog'
  readonly digest: Digest
  /** `published`: its bytes are what their digest says and came like that, so that nothing here can be healed. */
  readonly state: 'sound' | 'healed' | 'published' | 'failed'
  /** For people: what was wrong, and what became of it. */
  readonly detail?: string
}

export interface VerifyOptions {
  /** Told of every piece read; may hold up the next. */
  readonly pace?: (bytes: number) => void | Promise<void>
  /** Also unpack layers and compare them with their images' configs. */
  readonly decode: boolean
}

interface Round extends VerifyOptions {
  readonly blobs: Set<Digest>
  readonly layers: Set<string>
  readonly pinned: PinnedOfRound
}

/** What pins keep, and so must be here: read when something is missing, and once more before it is called pinned, since a round may take days. */
class PinnedOfRound {
  readonly #pinned: Pick<Pinned, 'digests'>
  #known: Promise<ReadonlySet<Digest>> | undefined

  constructor(pinned: Pick<Pinned, 'digests'>) {
    this.#pinned = pinned
  }

  async has(digest: Digest): Promise<boolean> {
    this.#known ??= this.#pinned.digests()
    if (!(await this.#known).has(digest)) return false
    this.#known = this.#pinned.digests()
    return (await this.#known).has(digest)
  }

  /** What has come back may name more. */
  forget(): void {
    this.#known = undefined
  }
}

export interface VerifierDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly healer: Pick<Healer, 'heal'>
  readonly pinned: Pick<Pinned, 'digests'>
  readonly restorations: Pick<Restorations, 'findFolded'>
  readonly limits: ModelLimits
  readonly decodeLimits: DecodeLimits
}

export class Verifier {
  readonly #deps: VerifierDeps

  constructor(deps: VerifierDeps) {
    this.#deps = deps
  }

  /** The whole store: bytes, then what sidecars and catalog say of each other. */
  async *all(options: VerifyOptions): AsyncGenerator<Check> {
    const round = this.#round(options)
    for await (const { digest } of this.#deps.store.list()) yield* this.#blob(digest, round)
    for await (const sidecar of this.#deps.sidecars.list()) yield* this.#sidecar(sidecar, round)
    for await (const { upstream, name, tag, digest, checkedAt } of this.#deps.catalog.tags.list()) {
      yield* this.#tag({ upstream, name }, digest, { name: tag, at: checkedAt })
    }
  }

  /** One manifest and everything below it that is here. */
  async *image(
    repository: Repository,
    digest: Digest,
    options: VerifyOptions,
  ): AsyncGenerator<Check> {
    yield* this.#tree(repository, digest, this.#round(options))
  }

  #round(options: VerifyOptions): Round {
    const pinned = new PinnedOfRound(this.#deps.pinned)
    return { ...options, blobs: new Set(), layers: new Set(), pinned }
  }

  async *#tree(repository: Repository, root: Digest, round: Round): AsyncGenerator<Check> {
    const walk = new Walk(`manifest ${root}`)
    const open = [root]
    for (let digest = open.pop(); digest !== undefined; digest = open.pop()) {
      if (!(await walk.enter(digest))) continue
      const link = await this.#deps.manifests.findLink(repository, digest)
      // A platform that nobody has pulled is not here.
      if (link === undefined && digest !== root) continue
      yield* this.#kept(digest, round)
      const raw = await this.#deps.manifests.findLocal(repository, digest)
      if (raw === undefined) continue
      const manifest = this.#deps.manifests.outline(raw)
      if (manifest.kind === 'image') yield* this.#image(manifest, round)
      for (const child of childrenOf(manifest).toReversed()) open.push(child.digest)
    }
  }

  async *#image(image: ImageManifest, round: Round): AsyncGenerator<Check> {
    if (!(await this.#isMerelyNamed(image.config.digest))) {
      yield* this.#kept(image.config.digest, round)
    }
    const layers = [...image.layers.map(({ digest }) => digest), ...referredBy(image)]
    for (const digest of layers) {
      if (!round.blobs.has(digest)) yield* this.#layer(digest, round)
    }
    if (round.decode) yield* this.#diffIds(image, round)
  }

  /** It may well have been evicted, unless it is pinned. */
  async *#layer(digest: Digest, round: Round): AsyncGenerator<Check> {
    let isFound = false
    for await (const check of this.#blob(digest, round)) {
      isFound = true
      yield check
    }
    if (isFound || (await this.#isMerelyNamed(digest)) || !(await round.pinned.has(digest))) return
    if ((await this.#deps.store.stat(digest)) !== undefined) return
    // What is kept as another form of it is here.
    if ((await this.#deps.restorations.findFolded(digest)) !== undefined) return
    yield await this.#heal(digest, 'is missing, although it is pinned')
  }

  /** Not here, and never was: whoever asks for a manifest alone gets nothing that it names. */
  async #isMerelyNamed(digest: Digest): Promise<boolean> {
    if ((await this.#deps.store.stat(digest)) !== undefined) return false
    const holders = await this.#deps.catalog.links.holders(digest)
    return holders.length > 0 && holders.every(({ standing }) => standing === 'named')
  }

  /** A manifest or config, which must be here unless it was let go. */
  async *#kept(digest: Digest, round: Round): AsyncGenerator<Check> {
    if (round.blobs.has(digest) && (await this.#deps.store.stat(digest)) !== undefined) return
    let isFound = false
    for await (const check of this.#blob(digest, round)) {
      isFound = true
      yield check
    }
    if (isFound || (await this.#wasLetGo(digest))) return
    yield await this.#heal(digest, 'is missing')
    round.pinned.forget()
  }

  /** Evicted or forgotten, and not asked for since: whoever does gets it again. */
  async #wasLetGo(digest: Digest): Promise<boolean> {
    if ((await this.#deps.store.stat(digest)) !== undefined) return false
    return (await this.#deps.catalog.retention.describe(digest))?.isReleased ?? false
  }

  /** Says nothing of a blob that is not here: it may well have been evicted. */
  async *#blob(digest: Digest, round: Round): AsyncGenerator<Check> {
    round.blobs.add(digest)
    const found = await this.#deps.store.verify(digest, round.pace)
    if (found === 'sound') yield { what: 'blob', digest, state: 'sound' }
    if (found !== 'rotten') return
    yield await this.#heal(digest, 'has rotted')
    round.pinned.forget()
  }

  async #heal(digest: Digest, trouble: string): Promise<Check> {
    const healing = await this.#deps.healer.heal(digest)
    const isHealed = 'from' in healing
    return {
      what: 'blob',
      digest,
      state: isHealed ? 'healed' : 'failed',
      detail: isHealed
        ? `${trouble}; had again from ${healing.from}`
        : `${trouble}; ${healing.failed}`,
    }
  }

  // -------------------------------------------------------------------------------------------- diffIDs

  async *#diffIds(image: ImageManifest, round: Round): AsyncGenerator<Check> {
    if (describeUnconvertible(image) !== undefined) return
    const { digest, size } = image.config
    if (
      size > this.#deps.limits.maxConfigBytes ||
      (await this.#deps.store.stat(digest)) === undefined
    )
      return
    const bytes = await collect(this.#deps.store.read(digest), this.#deps.limits.maxConfigBytes)
    const diffIds = this.#diffIdsIn(bytes)
    for (const [i, layer] of image.layers.entries()) {
      const diffId = diffIds[i]
      const key = `${layer.digest} ${diffId}`
      const isForeign = findMediaType(layer.mediaType)?.foreign === true
      if (diffId === undefined || isForeign || round.layers.has(key)) continue
      round.layers.add(key)
      if ((await this.#deps.store.stat(layer.digest)) === undefined) continue
      const check = await this.#diffId(layer.digest, diffId)
      if (check?.state === 'published' && (await this.#isMade(layer.digest, digest))) {
        yield { ...check, state: 'failed' }
      } else if (check !== undefined) yield check
    }
  }

  /** True when the layer, or the config that speaks of it, is of a conversion. */
  async #isMade(...digests: readonly Digest[]): Promise<boolean> {
    for (const digest of digests) {
      const holders = await this.#deps.catalog.links.holders(digest)
      if (holders.some(({ standing }) => standing === 'made')) return true
    }
    return false
  }

  /** None in a config that cannot be read: it came like that, and is not converted. */
  #diffIdsIn(config: Uint8Array): readonly Digest[] {
    try {
      return parseImageConfig(config, this.#deps.limits).diffIds
    } catch (error) {
      if (error instanceof CrossdockError) return []
      throw error
    }
  }

  /** Of a layer whose bytes are what its digest says. */
  async #diffId(digest: Digest, diffId: Digest): Promise<Check | undefined> {
    try {
      const hasher = new Hasher(algorithmOf(diffId))
      const source = this.#deps.store.read(digest, undefined, {})
      for await (const chunk of decodeLayer(source, this.#deps.decodeLimits)) hasher.update(chunk)
      const found = hasher.digest()
      if (found === diffId) return { what: 'diffId', digest, state: 'sound' }
      const detail = `unpacks to ${found}, but its image's config says ${diffId}`
      return { what: 'diffId', digest, state: 'published', detail }
    } catch (error) {
      // A server beside may have evicted it in this moment.
      if ((await this.#deps.store.stat(digest)) === undefined) return undefined
      const detail = error instanceof Error ? error.message : String(error)
      return { what: 'diffId', digest, state: isOfContent(error) ? 'published' : 'failed', detail }
    }
  }

  // -------------------------------------------------------------------------------------------- catalog

  async *#sidecar(sidecar: Sidecar, round: Round): AsyncGenerator<Check> {
    const { digest, mediaType } = sidecar
    yield* this.#kept(digest, round)
    if ((await this.#deps.store.stat(digest)) === undefined) return
    let manifest: Outline
    let raw: RawManifest
    try {
      const bytes = await collect(this.#deps.store.read(digest), this.#deps.limits.maxManifestBytes)
      raw = { digest, mediaType, bytes }
      manifest = this.#deps.manifests.outline(raw)
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error)
      yield { what: 'sidecar', digest, state: 'failed', detail }
      return
    }
    yield* this.#links(sidecar, raw)
    if (manifest.kind === 'image') yield* this.#image(manifest, round)
  }

  /** What a sidecar says and the catalog does not is put into the catalog: the store is the truth. */
  async *#links({ digest, places, conversion }: Sidecar, raw: RawManifest) {
    for (const { upstream, name } of places) {
      const repository = { upstream, name }
      if ((await this.#deps.manifests.findLink(repository, digest)) !== undefined) continue
      const isMade =
        conversion?.repository.upstream === upstream && conversion.repository.name === name
      if (isMade) await this.#deps.catalog.publish(conversion)
      else await this.#deps.manifests.record(repository, raw)
      const detail = `the catalog did not know it in ${upstream}/${name}; now it does`
      yield { what: 'catalog', digest, state: 'healed', detail } as const
    }
  }

  /** And the other way round, so that a rebuilt catalog would know as much as this one. */
  async *#tag(
    repository: Repository,
    digest: Digest,
    tag: { readonly name: string; readonly at: number },
  ): AsyncGenerator<Check> {
    const sidecar = await this.#deps.sidecars.read(digest)
    const { upstream, name } = repository
    const place = sidecar?.places.find((one) => one.upstream === upstream && one.name === name)
    if (place?.tags[tag.name] !== undefined) return
    const raw = await this.#deps.manifests.findLocal(repository, digest)
    if (raw === undefined) return
    await this.#deps.manifests.record(repository, raw, tag)
    const detail = `its sidecar did not say ${upstream}/${name}:${tag.name}; now it does`
    yield { what: 'sidecar', digest, state: 'healed', detail }
  }
}

/** The layer was read, and what it holds is no layer, or none that is unpacked here. */
function isOfContent(error: unknown): boolean {
  if (!(error instanceof CrossdockError)) return false
  return error.kind === 'badManifest' || error.reason === 'layer-too-large'
}
