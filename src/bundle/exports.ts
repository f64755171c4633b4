/** `export`: images staged, collected and written as a layout or archive that crossdock and every client can load. */
import { basename } from 'node:path'
import type { Progress } from '../convert/progress.ts'
import type { Pulls } from '../convert/pulls.ts'
import type { SingleLayers } from '../convert/single-layers.ts'
import type { Staging } from '../convert/staging.ts'
import { CrossdockError } from '../errors.ts'
import { unlessAborted, untilAborted } from '../lib/aborted.ts'
import { type ByteStream, streamOf } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { ModelLimits, Platform } from '../oci/manifest.ts'
import { splitSuffix } from '../oci/reference.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Upstreams } from '../ports/upstream.ts'
import { listIn } from '../priorities/stored-lists.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import type { Tags } from '../pull/tags.ts'
import type { ExportedImage } from './bundle-names.ts'
import { Cargo, type CargoBlob, type Shipment } from './cargo.ts'
import type { BundledForm } from './description.ts'
import { type FileEntry, smallFile } from './entry.ts'
import type { ExportItem, ExportTask } from './export-task.ts'
import { correct, type LayerTravel, planTravel, type TravelContext } from './layer-travel.ts'
import { blobPath } from './layout-files.ts'
import type { LoadedBlob } from './load.ts'
import { type Manifesto, writeManifesto } from './manifesto.ts'
import { compressOuter } from './outer-compression.ts'
import { type WrittenFile, writeArchive, writeFolder } from './output-files.ts'
import { OutputProgress } from './output-progress.ts'
import { Referrers } from './referrers.ts'
import { writeTar } from './tar-archive.ts'

/** An image of a task, by its place in it, and why it is not in the bundle. */
export interface ExportFailure {
  readonly index: number
  readonly error: unknown
}

export interface Exported {
  /** None when every image has failed. */
  readonly files: readonly WrittenFile[]
  readonly manifesto: Manifesto
  readonly warnings: readonly string[]
  readonly failures: readonly ExportFailure[]
}

interface Shipped {
  readonly image: ExportedImage
  /** For people. */
  readonly said: readonly string[]
}

export interface ExportDeps {
  readonly staging: Staging
  readonly pulls: Pulls
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly store: Pick<BlobStore, 'read'>
  readonly tags: Tags
  readonly catalog: Catalog
  readonly upstreams: Upstreams
  readonly progress: Progress
  readonly profiles: { readonly suffixes: readonly string[] }
  readonly offline: boolean
  readonly pieces: Pick<SingleLayers, 'convert' | 'tar'>
  readonly limits: Pick<ModelLimits, 'maxBlobBytes'>
  /** Layers looked at at a time. */
  readonly concurrency: number
  /** Whose image `docker load` of an index gets. */
  readonly dockerPlatform: Platform
}

/** Whatever `zstd --long=31` writes. */
const MAX_WINDOW_LOG = 31

export class Exports {
  readonly #deps: ExportDeps

  constructor(deps: ExportDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when the bundle is durable under its final name; otherwise nothing of it is left. Images that fail are left out and
   * told of, unless the task says otherwise or nothing remains.
   */
  async export(task: ExportTask, signal?: AbortSignal): Promise<Exported> {
    const referrers = new Referrers(this.#deps)
    const cargo = new Cargo({ ...this.#deps, referrers })
    const images: ExportedImage[] = []
    const warnings: string[] = []
    const failures: ExportFailure[] = []
    for (const [index, item] of task.images.entries()) {
      const own = new Cargo({ ...this.#deps, referrers })
      try {
        const { image, said } = await unlessAborted(this.#ship(own, item, task), signal)
        warnings.push(...said)
        if (image.conversion === undefined || image.withSource) {
          warnings.push(...(await this.#addLists(own, image)))
        }
        images.push(image)
        // Only now: of an image that failed on the way nothing is carried.
        cargo.absorb(own)
      } catch (error) {
        signal?.throwIfAborted()
        if (task.failFast || task.images.length === 1) throw error
        failures.push({ index, error })
      }
    }
    for (const made of cargo.conversions) await this.#addOwnList(cargo, made)
    const travels = await this.#travels(cargo, task, signal)
    const manifesto = writeManifesto(cargo, images, task, this.#deps.dockerPlatform, travels)
    const files = images.length === 0 ? [] : await this.#write(task, images, manifesto, signal)
    const all = [...referrers.warnings, ...new Set(warnings)]
    return { files, manifesto, warnings: all, failures }
  }

  async #ship(cargo: Cargo, item: ExportItem, task: ExportTask): Promise<Shipped> {
    const { repository, platforms, reference } = item
    const { restoreDigests } = task
    const toStage = { ...item, mayStayFolded: restoreDigests }
    const { digest, warnings } = await this.#deps.staging.stage(toStage)
    const { form, ...shipment } = await cargo.ship(repository, digest, {
      platforms,
      withSources: task.withSources || restoreDigests,
      // Whoever asks for a conversion by its digest will do so behind the gap, where nobody could know how it is made.
      stays: (made) =>
        restoreDigests && !task.withSources && 'tag' in reference && !hasPlainTars(made),
    })
    const full = `${fullName(repository)}`
    if ('digest' in reference) {
      const asked = `${full}@${reference.digest}`
      const baseName = item.name ?? asked
      const image = {
        ...shipment,
        repository,
        reference: asked,
        baseName,
        forms: [],
        tag: undefined,
      }
      return { image, said: warnings }
    }
    const tag = await this.#claim(cargo, item, reference.tag, shipment)
    const baseName = item.name ?? `${full}:${tag}`
    const asked = `${full}:${reference.tag}`
    const image =
      form === undefined
        ? { ...shipment, repository, reference: asked, baseName, forms: [], tag }
        : {
            ...shipment,
            repository,
            reference: `${full}:${tag}`,
            baseName,
            forms: [describeForm(asked, form, shipment)],
            tag,
          }
    return { image, said: warnings }
  }

  /** `undefined`: all go as they are. */
  async #travels(
    cargo: Cargo,
    { restoreDigests, since, target }: ExportTask,
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<Digest, LayerTravel> | undefined> {
    if (!restoreDigests) return undefined
    const { progress, concurrency, limits } = this.#deps
    const prior = new Set(since.flatMap(({ blobs }) => [...blobs]))
    const blobs = cargo.blobs.filter(({ digest }) => !prior.has(digest))
    return await planTravel(basename(target.path), cargo.manifests, blobs, {
      ...{ ...this.#correcting, progress, concurrency, signal, maxTarBytes: limits.maxBlobBytes },
    })
  }

  /** Sources go with the lists that they are laid out by: behind the gap neither a record's file nor its image may be there. */
  async #addLists(cargo: Cargo, image: ExportedImage): Promise<readonly string[]> {
    const { repository, tag, conversion, root } = image
    const { manifests, pulls } = this.#deps
    const source = conversion?.source ?? root.digest
    const raw = tag === undefined ? undefined : await manifests.findLocal(repository, source)
    if (tag === undefined || raw === undefined) return []
    const { lists, warnings } = await pulls.lists(repository, tag, raw)
    for (const [profile, list] of lists) {
      const blob = await this.#findList(repository, list)
      if (blob !== undefined) cargo.addList({ repository, source, profile, list }, blob)
    }
    return warnings.map((text) => `${image.reference} goes without a priority list: ${text}`)
  }

  /** What a conversion was made with, so that a layer that is evicted behind the gap can be made again. */
  async #addOwnList(cargo: Cargo, { repository, recipe }: ConvertedImage): Promise<void> {
    const list = listIn(recipe.options)
    const blob = list && (await this.#findList(repository, list))
    if (blob !== undefined) cargo.addBlob(blob)
  }

  async #findList(repository: Repository, digest: Digest): Promise<CargoBlob | undefined> {
    const link = await this.#deps.catalog.links.find(repository, digest)
    const blob = link && (await this.#deps.blobs.openStored(digest))
    return blob && { digest, size: link.size, repository }
  }

  /** The tag that names the source; a suffix of ours is not part of it. */
  async #claim(
    cargo: Cargo,
    { repository }: ExportItem,
    tag: string,
    { root, conversion }: Shipment,
  ): Promise<string> {
    const source = conversion?.source ?? root.digest
    const split = splitSuffix(tag, this.#deps.profiles.suffixes)
    for (const candidate of [tag, ...(split ? [split.base] : [])]) {
      const known = await this.#deps.catalog.tags.find(repository, candidate)
      if (known?.digest !== source && known?.digest !== root.digest) continue
      cargo.claim(repository, candidate, known.digest)
      return candidate
    }
    throw new CrossdockError(
      'manifestUnknown',
      `tag ${fullName(repository)}:${tag} moved while it was exported; export it again`,
    )
  }

  async #write(
    { target }: ExportTask,
    images: readonly ExportedImage[],
    manifesto: Manifesto,
    signal: AbortSignal | undefined,
  ): Promise<readonly WrittenFile[]> {
    const seen = new OutputProgress(this.#deps.progress, target, images, manifesto)
    try {
      const files = this.#files(manifesto, seen, signal)
      const written =
        target.kind === 'folder'
          ? await writeFolder(target.path, files)
          : await writeArchive(
              target.path,
              compressOuter(writeTar(files), target.outer, signal),
              target.split,
            )
      seen.end()
      return written
    } catch (error) {
      seen.fail(error)
      throw error
    }
  }

  async *#files(
    manifesto: Manifesto,
    seen: OutputProgress,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FileEntry> {
    for (const { name, content } of manifesto.files) yield smallFile(name, content)
    for (const item of manifesto.content) {
      const { digest, size } = item
      const name = blobPath(digest)
      const read = await this.#reader(item)
      yield {
        kind: 'file',
        name,
        size,
        read: () => seen.watch(digest, untilAborted(read(), signal)),
      }
    }
  }

  async #reader(item: LoadedBlob): Promise<() => ByteStream> {
    if ('bytes' in item) return () => streamOf(item.bytes)
    if ('correctionsOf' in item) {
      // They may have been let go meanwhile.
      await correct(item.correctionsOf, this.#correcting)
      return () => this.#deps.store.read(item.digest)
    }
    if ('tarOf' in item) {
      const { repository, digest } = item.tarOf
      await this.#recover(item.tarOf)
      const limits = { maxOutput: item.size, maxWindowLog: MAX_WINDOW_LOG }
      return await this.#deps.pieces.tar(repository, digest, limits)
    }
    const blob = await this.#open(item)
    return () => blob.read()
  }

  get #correcting(): Pick<TravelContext, 'pieces' | 'links' | 'recover'> {
    const { pieces, catalog } = this.#deps
    return { pieces, links: catalog.links, recover: (blob) => this.#recover(blob) }
  }

  /** What was made here and has gone comes back only as it came about; all else is had by whoever reads it. */
  async #recover(blob: CargoBlob): Promise<void> {
    const link = await this.#deps.catalog.links.find(blob.repository, blob.digest)
    if (link?.standing !== 'made') return
    const { growing } = await this.#open(blob)
    await growing?.verified
  }

  async #open({ repository, digest }: CargoBlob): Promise<OpenBlob> {
    const blob = await this.#deps.pulls.blob(repository, digest)
    if (blob === undefined) throw blobUnknown(repository, digest)
    return blob
  }
}

/** Its layers are what originals are rebuilt from. */
function hasPlainTars({ recipe }: ConvertedImage): boolean {
  return recipe.format === 'none'
}

function describeForm(
  reference: string,
  { target, recipe }: ConvertedImage,
  { images }: Shipment,
): BundledForm {
  const { children } = recipe
  const carried = new Set(images.map(({ digest }) => digest))
  const isWhole = children?.every((child) => carried.has(child)) ?? true
  return {
    ...{ reference, profile: recipe.profile },
    ...(isWhole && { digest: target }),
    ...(children && { children }),
  }
}
