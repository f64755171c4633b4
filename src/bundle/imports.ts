/** `import`: a bundle's content verified and taken in, then made known, so that a failure leaves the store as before. */
import type { RestoreThreads } from '../codec/restore/threads.ts'
import { Assembler, FORGOTTEN } from '../convert/assembly.ts'
import type { Progress } from '../convert/progress.ts'
import type { Publisher } from '../convert/publisher.ts'
import { CrossdockError } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import { type ModelLimits, parseImageConfig } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import type { Blobs } from '../pull/blobs.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { BundlePlan } from './bundle-plan.ts'
import { checkConversions } from './conversion-check.ts'
import { Arrival } from './arrival.ts'
import { parseDescription } from './description-file.ts'
import { type ArchiveContext, planDockerArchive } from './docker-archive.ts'
import { planLayout } from './foreign-layout.ts'
import type { BundleInput } from './input-files.ts'
import { Intake } from './intake.ts'
import { DESCRIPTION_FILE, DOCKER_FILE, INDEX_FILE } from './layout-files.ts'
import { planOwnBundle } from './own-bundle.ts'
import { Register } from './register.ts'
import { type Remade, remakeConversions } from './remade-check.ts'

export interface ImportOptions {
  /** Repository of images that carry no name of their own. */
  readonly fallback: Repository
  readonly signal?: AbortSignal | undefined
}

/** An image as its publisher pushed it; the form of it that came where that did not. */
export interface OriginalImage {
  readonly repository: Repository
  readonly digest: Digest
  readonly tags: readonly string[]
}

export interface Imported {
  readonly bundle: string
  readonly images: BundlePlan['images']
  readonly originals: readonly OriginalImage[]
  readonly manifests: number
  readonly conversions: number
  /** References that are answered by converting, when they are asked for the first time. */
  readonly forms: BundlePlan['forms']
  /** Layers that were made again. */
  readonly rebuilt: number
  /** Configs and layers that were not in the store before, and their bytes. */
  readonly added: { readonly blobs: number; readonly bytes: number }
}

export interface ImportDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly clock: Clock
  readonly publisher: Publisher
  readonly blobs: Pick<Blobs, 'openStored'>
  readonly limits: ModelLimits
  readonly maxLayerBytes: number
  /** Of `codec/restore`, wherever it is done. */
  readonly rebuild: RestoreThreads['rebuild']
  readonly progress: Progress
  /** Layers made again, or unpacked to check them, at a time. */
  readonly concurrency: number
  readonly locate: (name: string) => Repository
}

export class Imports {
  readonly #deps: ImportDeps

  constructor(deps: ImportDeps) {
    this.#deps = deps
  }

  /** Resolves when everything is durable and served. Throws what is wrong with the bundle. */
  async import(input: BundleInput, options: ImportOptions): Promise<Imported> {
    const { store } = this.#deps
    const intake = new Intake(store, this.#deps.limits.maxBlobBytes)
    const arrival = new Arrival(input.name, intake, { ...this.#deps, signal: options.signal })
    let plan: BundlePlan
    let remade: Remade
    try {
      await intake.take(input.entries(), arrival, options.signal)
      await arrival.finish()
      plan = await this.#plan(intake, input, options)
      const context = { ...this.#deps, ...this.#context(intake, options), ...options }
      await checkConversions(plan, context)
      remade = await remakeConversions(plan, { ...context, assembler: this.#assembler() })
    } catch (error) {
      await arrival.stop(error)
      await intake.discard()
      if (!options.signal?.aborted) await input.explain()
      throw error
    }
    const register = new Register(this.#deps)
    await register.record(plan, remade)
    const wanted = new Set([...plan.blobs, ...plan.manifests.map(({ raw }) => raw.digest)])
    const added = intake.added(plan.blobs)
    await intake.discard((digest) => wanted.has(digest))
    await this.#sweep([...intake.known].filter((digest) => !wanted.has(digest)))
    return {
      bundle: input.name,
      images: plan.images,
      originals: originalsIn(plan),
      manifests: plan.manifests.length,
      conversions: plan.conversions.length,
      forms: plan.forms,
      rebuilt: arrival.rebuilt,
      added,
    }
  }

  /** Deletes what nothing leads to: an import of the bundle that was killed put it there to make layers of. */
  async #sweep(digests: readonly Digest[]): Promise<void> {
    const { store, catalog } = this.#deps
    for (const digest of digests) {
      const isKept =
        (await catalog.retention.describe(digest)) !== undefined ||
        (await catalog.conversions.findLayerByTarget(digest)) !== undefined
      if (!isKept) await store.delete(digest)
    }
  }

  /** Of a bundle that is not believed yet nothing is kept, nor is anything made for it. */
  #assembler(): Assembler {
    const regenerations = { open: async () => undefined }
    return new Assembler({ keeping: FORGOTTEN, blobs: this.#deps.blobs, regenerations })
  }

  /** The best description that the bundle has. */
  async #plan(intake: Intake, input: BundleInput, options: ImportOptions): Promise<BundlePlan> {
    const context = this.#context(intake, options)
    const found = (digest: Digest) => intake.find(digest)
    const own = intake.metadata(DESCRIPTION_FILE)
    if (own !== undefined) return await planOwnBundle(parseDescription(own), found, context)
    const index = intake.metadata(INDEX_FILE)
    if (index !== undefined) return await planLayout(index, found, context)
    const docker = intake.metadata(DOCKER_FILE)
    if (docker !== undefined) return await planDockerArchive(docker, context)
    throw new CrossdockError(
      'badManifest',
      `${input.name} is no image archive: it has neither index.json nor manifest.json; give a bundle, an OCI layout or what docker save wrote`,
    )
  }

  #context(intake: Intake, options: ImportOptions): ArchiveContext {
    const { store, manifests, limits, locate, maxLayerBytes } = this.#deps
    return {
      read: (digest, maxBytes) => collect(store.read(digest), maxBytes),
      stream: (digest) => store.read(digest),
      parse: (raw) => manifests.outline(raw),
      parseConfig: (bytes) => parseImageConfig(bytes, limits),
      findFile: (name) => intake.findFile(name),
      locate,
      fallback: options.fallback,
      maxManifestBytes: limits.maxManifestBytes,
      maxConfigBytes: limits.maxConfigBytes,
      maxLayerBytes,
    }
  }
}

function originalsIn({ images, manifests }: BundlePlan): readonly OriginalImage[] {
  const wanted = new Set(images.map(({ digest, source }) => source ?? digest))
  return manifests.flatMap(({ repository, raw: { digest }, tags }) =>
    wanted.has(digest) ? [{ repository, digest, tags }] : [],
  )
}
