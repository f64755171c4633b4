/**
 * Conversions whose blobs cannot be unpacked to the source's tars cannot be held to diffIDs either: they are made once more
 * from their sources, which a bundle therefore brings along, and must come out the same.
 */
import { decodeLayer } from '../codec/codecs.ts'
import { type Assembler, assembleIndex, type Beside, type MadeChild } from '../convert/assembly.ts'
import type { ImageTask } from '../convert/image-task.ts'
import { indexOfOne } from '../convert/index-of-one.ts'
import { CrossdockError } from '../errors.ts'
import type { Encoded, Encoding, Format, FormatOptions, Unpacked } from '../format/format.ts'
import { findFormat } from '../format/formats.ts'
import { parseRecipe } from '../format/recipe.ts'
import { Semaphore } from '../lib/semaphore.ts'
import { type Digest, Hasher } from '../oci/digest.ts'
import type { ImageManifest } from '../oci/manifest.ts'
import { isSameRepository } from '../oci/repository.ts'
import type { ConvertedLayer } from '../ports.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { BundlePlan, PlannedManifest } from './bundle-plan.ts'
import { keyOf } from './cargo.ts'
import type { CheckContext } from './conversion-check.ts'
import type { BundledConversion } from './description.ts'
import { isProvenByRemaking, misfiled } from './misfiled.ts'

export interface RemakeContext extends CheckContext {
  readonly assembler: Assembler
  readonly manifests: Pick<Manifests, 'parse'>
}

/** What was made beside the images of a plan, by conversion. */
export type FoundBeside = ReadonlyMap<BundledConversion, Beside>

/** Throws `badDigest` for a mapping that is not true, `refused` for one of another revision. */
export async function remakeConversions(
  plan: BundlePlan,
  context: RemakeContext,
): Promise<FoundBeside> {
  const check = new RemadeCheck(plan, context)
  const all = plan.conversions.filter(isProvenByRemaking)
  for (const made of all) if (!isIndex(made)) await check.image(made)
  for (const made of all) if (isIndex(made)) await check.index(made)
  return check.beside
}

class RemadeCheck {
  readonly beside = new Map<BundledConversion, Beside>()
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
    const pieces = new Map(made.layers.map((layer) => [layer.source, layer]))
    await Promise.all(
      [...pieces.values()].map((piece) =>
        this.#slots.run(() => this.#piece(made, task, piece, diffIdOf(parsed, config, piece))),
      ),
    )
    const { manifest, beside } = await this.#context.assembler.image(
      task,
      { raw, image: parsed, dialect: parseRecipe(made.recipe).dialect },
      config,
      parsed.layers.map(({ digest }) => pieces.get(digest)),
    )
    if (manifest.digest !== made.target) throw misfiled(made, 'it comes out differently')
    this.beside.set(made, beside)
    this.#note(made, manifest.bytes.byteLength, manifest.mediaType, beside)
  }

  /** Those that it names come first, however deep. */
  async index(made: BundledConversion): Promise<void> {
    if (this.#begun.has(made)) return
    this.#begun.add(made)
    const below = new Set(parseRecipe(made.recipe).children)
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

  /** Made anew without keeping it, and compared. */
  async #piece(
    made: BundledConversion,
    { format, options }: ImageTask,
    piece: ConvertedLayer,
    diffId: Digest | undefined,
  ): Promise<void> {
    const known = await this.#context.catalog.conversions.findLayer(piece)
    if (known?.target === piece.target && known.diffId === diffId) return
    if (!this.#plan.blobs.has(piece.source)) {
      throw misfiled(made, `layer ${piece.source} of its source did not come along`)
    }
    const hasher = new Hasher()
    const encoder = this.#encode(format.encoding, options, piece.source)
    let step = await encoder.next()
    for (; !step.done; step = await encoder.next()) hasher.update(step.value)
    const { unpacked } = step.value
    const isSame = hasher.digest() === piece.target && piece.diffId === unpacked.diffId
    if (!isSame || (diffId !== unpacked.diffId && diffId !== unpacked.diffId512)) {
      throw misfiled(made, `layer ${piece.source} does not give ${piece.target}`)
    }
  }

  async *#encode(
    encoding: Encoding,
    options: FormatOptions,
    source: Digest,
  ): AsyncGenerator<Uint8Array, Encoded & { readonly unpacked: Unpacked }> {
    const { stream, maxLayerBytes, signal } = this.#context
    const limits = { maxOutput: maxLayerBytes, maxWindowLog: 31 }
    const context = { concurrency: 1, signal }
    if (encoding.reads === 'source') {
      const more = { limits, wants512: true, unpacked: () => undefined }
      return yield* encoding.encode(stream(source), options, { ...context, ...more })
    }
    const [sha256, sha512] = [new Hasher(), new Hasher('sha512')]
    async function* hashed() {
      for await (const chunk of decodeLayer(stream(source), limits)) {
        sha256.update(chunk)
        sha512.update(chunk)
        yield chunk
      }
    }
    const reopen = () => decodeLayer(stream(source), limits)
    const encoded = yield* encoding.encode(hashed(), options, { ...context, reopen })
    const { size: uncompressedSize } = sha256
    const diffIds = { diffId: sha256.digest(), diffId512: sha512.digest() }
    return { ...encoded, unpacked: { ...diffIds, uncompressedSize } }
  }

  /** Throws `refused` where this build writes other bytes. */
  #taskOf(made: BundledConversion, source: PlannedManifest['raw']) {
    const { format: name, revision, options, dialect } = parseRecipe(made.recipe)
    const format = findFormat(name)
    if (format?.revision !== revision) throw otherRevision(made, name, revision, format)
    const { repository, profile } = made
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
  return parseRecipe(recipe).children !== undefined
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
