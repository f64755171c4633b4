/** `export`: images staged, collected and written as a layout or archive that crossdock and every client can load. */
import { basename } from 'node:path'
import { parseRecipe } from '../convert/image-task.ts'
import { listIn } from '../convert/priority-lists.ts'
import type { LayerProgress, Progress } from '../convert/progress.ts'
import type { Pulls } from '../convert/pulls.ts'
import type { StageTask, Staging } from '../convert/staging.ts'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import { splitSuffix } from '../oci/reference.ts'
import type { Catalog, ConvertedImage, Repository, Upstreams } from '../ports.ts'
import { type Blobs, blobUnknown } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Tags } from '../pull/tags.ts'
import { Cargo, type CargoBlob, type Shipment } from './cargo.ts'
import type { IdentifiedBundle } from './description.ts'
import { type FileEntry, smallFile } from './entry.ts'
import { blobPath } from './layout-files.ts'
import { type ExportedImage, type Manifesto, writeManifesto } from './manifesto.ts'
import { compressOuter, OUTER_LEVELS, type OuterOptions } from './outer-compression.ts'
import { type WrittenFile, writeArchive, writeFolder } from './output-files.ts'
import { Referrers } from './referrers.ts'
import { writeTar } from './tar-archive.ts'

export interface ExportTask {
  readonly images: readonly ExportItem[]
  readonly withSources: boolean
  /** `docker`: what `docker load` of any version reads, and nothing of the OCI layout. */
  readonly format: 'oci' | 'docker'
  /** Bundles that the far side has already. */
  readonly since: readonly PriorBundle[]
  readonly target: ExportTarget
}

export interface ExportItem extends StageTask {
  /** As it is to be called in the bundle, without profile suffix: default is the reference's own name. */
  readonly name?: string | undefined
}

export type ExportTarget =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 'archive'
      readonly path: string
      readonly outer: OuterOptions
      /** Bytes of a volume. */
      readonly split?: number | undefined
    }

/** What a delta need not carry. */
export interface PriorBundle {
  readonly name: string
  /** `undefined`: some other tool made it. */
  readonly bundle: IdentifiedBundle | undefined
  readonly blobs: ReadonlySet<Digest>
}

export interface Exported {
  readonly files: readonly WrittenFile[]
  readonly manifesto: Manifesto
  readonly warnings: readonly string[]
}

export interface ExportDeps {
  readonly staging: Staging
  readonly pulls: Pulls
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly tags: Tags
  readonly catalog: Catalog
  readonly upstreams: Upstreams
  readonly progress: Progress
  readonly profiles: { readonly suffixes: readonly string[] }
  readonly offline: boolean
  /** Whose image `docker load` of an index gets. */
  readonly dockerPlatform: Platform
}

export class Exports {
  readonly #deps: ExportDeps

  constructor(deps: ExportDeps) {
    this.#deps = deps
  }

  /** Resolves when the bundle is durable under its final name; otherwise nothing of it is left. */
  async export(task: ExportTask): Promise<Exported> {
    const referrers = new Referrers(this.#deps)
    const cargo = new Cargo({ ...this.#deps, referrers })
    const images: ExportedImage[] = []
    const warnings: string[] = []
    for (const item of task.images) {
      const image = await this.#ship(cargo, item, task)
      images.push(image)
      if (image.conversion !== undefined && !task.withSources) continue
      warnings.push(...(await this.#addLists(cargo, image)))
    }
    for (const made of cargo.conversions) await this.#addOwnList(cargo, made)
    const manifesto = writeManifesto(cargo, images, task, this.#deps.dockerPlatform)
    const files = await this.#writeSeen(task.target, manifesto)
    return { files, manifesto, warnings: [...referrers.warnings, ...new Set(warnings)] }
  }

  async #ship(cargo: Cargo, item: ExportItem, task: ExportTask): Promise<ExportedImage> {
    const { repository, platforms, reference } = item
    const { digest } = await this.#deps.staging.stage(item)
    const shipment = await cargo.ship(repository, digest, {
      platforms,
      withSources: task.withSources,
    })
    const full = `${repository.upstream}/${repository.name}`
    if ('digest' in reference) {
      const asked = `${full}@${reference.digest}`
      const baseName = item.name ?? asked
      return { ...shipment, repository, reference: asked, baseName, tag: undefined }
    }
    const tag = await this.#claim(cargo, item, reference.tag, shipment)
    return {
      ...shipment,
      repository,
      reference: `${full}:${reference.tag}`,
      baseName: item.name ?? `${full}:${tag}`,
      tag,
    }
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
    const list = listIn(parseRecipe(recipe).options)
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
      `tag ${repository.upstream}/${repository.name}:${tag} moved while it was exported; export it again`,
    )
  }

  /** Shows how much has gone into the output: behind a strong compression that takes far longer than all before. */
  async #writeSeen(target: ExportTarget, manifesto: Manifesto): Promise<readonly WrittenFile[]> {
    const { progress } = this.#deps
    const how = target.kind === 'folder' ? target.kind : describeOuter(target.outer)
    const job = progress.begin(basename(target.path), how)
    const rows = manifesto.content.map(
      ({ digest, size }): LayerProgress => ({
        digest,
        size,
        stage: 'waiting',
        received: 0,
        written: 0,
      }),
    )
    job.state = 'converting'
    job.layers = rows
    progress.changed(job)
    try {
      const files = await this.#write(target, this.#files(manifesto, rows))
      progress.end(job, 'done')
      return files
    } catch (error) {
      progress.end(job, 'failed', error instanceof Error ? error.message : String(error))
      throw error
    }
  }

  async *#files(manifesto: Manifesto, rows: readonly LayerProgress[]): AsyncGenerator<FileEntry> {
    for (const { name, content } of manifesto.files) yield smallFile(name, content)
    for (const [i, item] of manifesto.content.entries()) {
      const { digest, size } = item
      const row = rows[i]
      if ('bytes' in item) {
        if (row) row.stage = 'done'
        yield smallFile(blobPath(digest), item.bytes)
        continue
      }
      const blob = await this.#deps.pulls.blob(item.repository, digest)
      if (blob === undefined) throw blobUnknown(item.repository, digest)
      yield { kind: 'file', name: blobPath(digest), size, read: () => watched(blob.read(), row) }
    }
  }

  #write(target: ExportTarget, files: AsyncIterable<FileEntry>): Promise<readonly WrittenFile[]> {
    if (target.kind === 'folder') return writeFolder(target.path, files)
    return writeArchive(target.path, compressOuter(writeTar(files), target.outer), target.split)
  }
}

async function* watched(
  bytes: ByteStream,
  row: LayerProgress | undefined,
): AsyncGenerator<Uint8Array> {
  if (row) row.stage = 'storing'
  for await (const chunk of bytes) {
    yield chunk
    if (row) row.received += chunk.byteLength
  }
  if (row) row.stage = 'done'
}

function describeOuter({ compression, level }: OuterOptions): string {
  if (compression === 'none') return 'tar'
  return `${compression}, level ${level ?? OUTER_LEVELS[compression].default}`
}
