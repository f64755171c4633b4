/**
 * Conversions whose blobs cannot be unpacked to the source's tars cannot be held to diffIDs either: they are made once more
 * from their sources, which a bundle therefore brings along, and must come out the same.
 */
import { type Assembler, assembleIndex, type Beside, type MadeChild } from '../convert/assembly.ts'
import type { ImageTask } from '../convert/image-task.ts'
import { indexOfOne } from '../convert/index-of-one.ts'
import { keyOf as layerKeyOf } from '../convert/layer-task.ts'
import { Unsuitable } from '../convert/unsuitable.ts'
import { CrossdockError } from '../errors.ts'
import { type Format, LayerRefusedError } from '../format/format.ts'
import { findFormat } from '../format/formats.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { algorithmOf, type Digest } from '../oci/digest.ts'
import type { ImageManifest } from '../oci/manifest.ts'
import { blobsOf, isInRegistry } from '../oci/outline.ts'
import { isSameRepository } from '../oci/repository.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { BundlePlan, PlannedManifest } from './bundle-plan.ts'
import { keyOf } from './cargo.ts'
import type { CheckContext } from './conversion-check.ts'
import type { BundledConversion } from './description.ts'
import { isProvenByRemaking, misfiled } from './misfiled.ts'
import { type PieceTask, remakePiece } from './remade-pieces.ts'

export interface RemakeContext extends CheckContext {
  readonly assembler: Assembler
  readonly manifests: Pick<Manifests, 'parse'>
}

/** What was found out of the images of a plan in place of what the bundle says of them, by conversion. */
export type Remade = ReadonlyMap<BundledConversion, RemadeImage>

export interface RemadeImage {
  readonly layers: readonly ConvertedLayer[]
  readonly beside: Beside
}

/** Throws `badDigest` for a mapping that is not true, `refused` for one of another revision. */
export async function remakeConversions(plan: BundlePlan, context: RemakeContext): Promise<Remade> {
  const check = new RemadeCheck(plan, context)
  const all = plan.conversions.filter(isProvenByRemaking)
  for (const made of all) if (!isIndex(made)) await check.image(made)
  for (const made of all) if (isIndex(made)) await check.index(made)
  return check.remade
}

class RemadeCheck {
  readonly remade = new Map<BundledConversion, RemadeImage>()
  readonly #plan: BundlePlan
  readonly #context: RemakeContext
  readonly #manifests: ReadonlyMap<string, PlannedManifest>
  readonly #slots: Semaphore
  readonly #begun = new Set<BundledConversion>()
  readonly #children: (MadeChild & Pick<BundledConversion, 'repository' | 'source'>)[] = []

  constructor(plan: BundlePlan, context: RemakeContext) {
    this.#plan = plan
    this.#context = context
    this.#slots = new Semaphore(context.concurrency)
    this.#manifests = new Map(
      plan.manifests.map((one) => [keyOf(one.repository, one.raw.digest), one]),
    )
  }

  async image(made: BundledConversion): Promise<void> {
    const { raw, parsed } = this.#find(made, made.source)
    if (parsed.kind !== 'image') throw misfiled(made, 'its source is no image')
    const { task } = this.#taskOf(made, raw)
    const config = await this.#configOf(parsed)
    const rows = new Map(made.layers.map((layer) => [layer.source, layer]))
    const layers = await Promise.all(
      [...rows.values()].map((layer) =>
        this.#slots.run(() => this.#piece(made, task, layer, diffIdOf(parsed, config, layer))),
      ),
    )
    const pieces = new Map(layers.map((layer) => [layer.source, layer]))
    const { manifest, beside } = await this.#assemble(
      made,
      task,
      { raw, image: parsed, dialect: made.recipe.dialect },
      config,
      parsed.layers.map(({ digest }) => pieces.get(digest)),
    )
    if (manifest.digest !== made.target) throw misfiled(made, 'it comes out differently')
    // What refers to the source is named by nothing, and does not travel: it has been made just now.
    const carried = beside.documents.filter(({ isReferrer }) => !isReferrer)
    for (const { digest } of [manifest, ...carried]) this.#checkCarried(made, digest)
    this.remade.set(made, { layers, beside })
    this.#note(made, manifest.bytes.byteLength, manifest.mediaType, beside)
  }

  /** Those that it names come first, however deep. */
  async index(made: BundledConversion): Promise<void> {
    if (this.#begun.has(made)) return
    this.#begun.add(made)
    const below = new Set(made.recipe.children)
    for (const other of this.#plan.conversions) {
      const isBelow = isProvenByRemaking(other) && isIndex(other) && below.has(other.source)
      if (isBelow) await this.index(other)
    }
    const { raw, parsed } = this.#find(made, made.source)
    const { task, dialect } = this.#taskOf(made, raw)
    if (parsed.kind === 'opaque') throw misfiled(made, 'its source cannot be read')
    const index =
      parsed.kind === 'index'
        ? parsed
        : indexOfOne(this.#context.manifests, raw, await this.#platformOf(parsed))
    const target = this.#find(made, made.target).parsed
    if (target.kind !== 'index') throw misfiled(made, 'it is no index')
    const named = new Set(target.manifests.map(({ digest }) => digest))
    const children = new Map<Digest, MadeChild>()
    for (const { digest } of index.manifests) {
      const child = await this.#childOf(made, digest, named)
      if (child !== undefined) children.set(digest, child)
    }
    const written = assembleIndex(task, { raw, index, dialect }, children)
    if (written.digest !== made.target) throw misfiled(made, 'it comes out differently')
    this.#note(made, written.bytes.byteLength, written.mediaType)
  }

  /** Made anew, and compared; what is known of it here already is as good. */
  async #piece(
    made: BundledConversion,
    { format: { encoding }, options }: ImageTask,
    { source, target }: ConvertedLayer,
    diffId: Digest | undefined,
  ): Promise<ConvertedLayer> {
    if (diffId === undefined) throw misfiled(made, `its source has no layer ${source}`)
    const key = layerKeyOf(source, encoding, options)
    const known = await this.#context.catalog.conversions.findLayer(key)
    const isMade = known?.kind === 'made'
    if (isMade && known.target === target && known.diffId === diffId) return known
    if (!this.#plan.blobs.has(source)) {
      throw misfiled(made, `layer ${source} of its source did not come along`)
    }
    const piece = await this.#remake(made, { source, diffId, encoding, options })
    const unpacked = algorithmOf(diffId) === 'sha512' ? piece.sourceDiffId512 : piece.diffId
    if (piece.target === target && unpacked === diffId) return piece
    throw misfiled(made, `layer ${source} does not give ${target}`)
  }

  async #remake(made: BundledConversion, task: PieceTask): Promise<ConvertedLayer> {
    try {
      return await remakePiece(task, this.#context)
    } catch (error) {
      if (!(error instanceof LayerRefusedError)) throw error
      throw misfiled(made, `layer ${task.source} of its source cannot have that form`, error)
    }
  }

  async #assemble(made: BundledConversion, ...how: Parameters<Assembler['image']>) {
    try {
      return await this.#context.assembler.image(...how)
    } catch (error) {
      if (!(error instanceof Unsuitable)) throw error
      throw misfiled(made, error.message, error)
    }
  }

  /** Everything that a manifest names must be here before it is served. */
  #checkCarried(made: BundledConversion, digest: Digest): void {
    const missing = blobsOf(this.#find(made, digest).parsed)
      .filter(isInRegistry)
      .find((blob) => !this.#plan.blobs.has(blob.digest))
    if (missing !== undefined) throw misfiled(made, `${missing.digest} did not come along`)
  }

  /** Throws `refused` where this build writes other bytes. */
  #taskOf(made: BundledConversion, source: PlannedManifest['raw']) {
    const { profile, format: name, revision, options, dialect } = made.recipe
    const format = findFormat(name)
    if (format?.revision !== revision) throw otherRevision(made, name, revision, format)
    const { repository } = made
    const what = { repository, source, profile, format, options }
    const task: ImageTask = { ...what, acceptance: 'any', platforms: 'all' }
    return { task, dialect }
  }

  #find(made: BundledConversion, digest: Digest): PlannedManifest {
    const found = this.#manifests.get(keyOf(made.repository, digest))
    if (found === undefined) throw misfiled(made, `manifest ${digest} is not in that repository`)
    return found
  }

  async #configOf(image: ImageManifest) {
    const config = await this.#context.read(image.config.digest, this.#context.maxConfigBytes)
    return { config, diffIds: this.#context.parseConfig(config).diffIds }
  }

  async #platformOf(image: ImageManifest) {
    const { read, parseConfig, maxConfigBytes } = this.#context
    return parseConfig(await read(image.config.digest, maxConfigBytes))
  }

  async #childOf(
    { repository }: BundledConversion,
    source: Digest,
    named: ReadonlySet<Digest>,
  ): Promise<MadeChild | undefined> {
    const known = await this.#context.catalog.conversions.listImages({ source })
    return [...this.#children, ...known].find(
      (one) =>
        one.source === source &&
        isSameRepository(one.repository, repository) &&
        [one.target, ...one.outputs.map(({ digest }) => digest)].some((digest) =>
          named.has(digest),
        ),
    )
  }

  #note(
    { repository, source, target }: BundledConversion,
    size: number,
    mediaType: string,
    beside?: Beside,
  ): void {
    const outputs = (beside?.documents ?? []).map(({ bytes, ...one }) => {
      return { ...one, size: bytes.byteLength }
    })
    this.#children.push({ repository, source, target, size, mediaType, outputs })
  }
}

function isIndex({ recipe }: BundledConversion): boolean {
  return recipe.children !== undefined
}

function diffIdOf(
  image: ImageManifest,
  { diffIds }: { readonly diffIds: readonly Digest[] },
  piece: ConvertedLayer,
): Digest | undefined {
  return diffIds[image.layers.findIndex(({ digest }) => digest === piece.source)]
}

function otherRevision(
  made: BundledConversion,
  name: string,
  revision: number,
  format: Format | undefined,
): CrossdockError {
  const now = format === undefined ? 'does not know it' : `makes revision ${format.revision}`
  return new CrossdockError(
    'refused',
    `the bundle holds ${made.target} as ${name} of revision ${revision}, and this crossdock ${now}; import it with the version that wrote it, or export the image again`,
    { reason: 'revision' },
  )
}
