/** Converted manifests and configs that are gone, written again from what is recorded of them: nothing is converted. */
import { findFormat } from '../format/formats.ts'
import { COMMAND, Interest, type Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, findMediaType } from '../oci/media-type.ts'
import { isSameRepository, type Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { ConvertedImage, ConvertedLayer } from '../ports/conversions.ts'
import type { RawManifest } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import { type AssembledImage, type Assembler, assembleIndex, type Beside } from './assembly.ts'
import type { Conversion, ImageTask } from './image-task.ts'
import { indexOfOne } from './index-of-one.ts'
import type { Publisher } from './publisher.ts'

export interface RemakerDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly store: Pick<BlobStore, 'stat'>
  readonly assembler: Assembler
  readonly publisher: Publisher
  readonly clock: Clock
}

/** A task, and who waits for it. */
type Waited = Pick<Conversion, 'task' | 'interest'>

export class Remaker {
  readonly #deps: RemakerDeps

  constructor(deps: RemakerDeps) {
    this.#deps = deps
  }

  /** True when a manifest or blob that was made for an image came out with the same digest, and is here again. */
  async remake(repository: Repository, digest: Digest, by: Waiter = COMMAND): Promise<boolean> {
    const { conversions } = this.#deps.catalog
    const targets = await conversions.listImages({ target: digest })
    for (const made of [...targets, ...(await conversions.listImages({ output: digest }))]) {
      if (!isSameRepository(made.repository, repository)) continue
      const isThere = async () => (await this.#deps.store.stat(digest)) !== undefined
      if ((await this.#again(made, by)) && (await isThere())) return true
    }
    return false
  }

  async #again(made: ConvertedImage, by: Waiter): Promise<boolean> {
    const source = await this.#deps.manifests.get(made.repository, made.source)
    const recipe = made.recipe
    const format = findFormat(recipe.format)
    if (source === undefined || format?.revision !== recipe.revision) return false
    const interest = new Interest(() => this.#deps.clock.monotonic())
    interest.add(by)
    const task: ImageTask = {
      repository: made.repository,
      source,
      format,
      profile: recipe.profile,
      options: recipe.options,
      acceptance: recipe.dialect === 'docker' ? 'docker' : 'any',
      platforms: 'all',
    }
    const { manifest, beside } = await this.#assemble(task, made, interest)
    if (manifest.digest !== made.target) return false
    await this.#deps.publisher.publish(manifest, source, made, beside)
    return true
  }

  async #assemble(
    task: ImageTask,
    made: ConvertedImage,
    interest: Interest,
  ): Promise<{ readonly manifest: RawManifest; readonly beside?: Beside }> {
    const source = this.#deps.manifests.parse(task.source)
    const dialect = findMediaType(made.mediaType)?.dialect ?? source.dialect
    const isIndex = made.recipe.children !== undefined
    if (source.kind === 'image' && !isIndex) {
      return await this.#assembleImage({ task, interest }, source, dialect, made)
    }
    const index = source.kind === 'index' ? source : await this.#wrapped({ task, interest }, source)
    const children = await this.#childrenOf(index, made)
    return { manifest: assembleIndex(task, { raw: task.source, index, dialect }, children) }
  }

  async #wrapped({ task, interest }: Waited, image: ImageManifest): Promise<ImageIndex> {
    const config = await this.#deps.manifests.config(task.repository, image, interest)
    return indexOfOne(this.#deps.manifests, task.source, config)
  }

  async #assembleImage(
    { task, interest }: Waited,
    image: ImageManifest,
    dialect: Dialect,
    { layers }: ConvertedImage,
  ): Promise<AssembledImage> {
    const bySource = new Map(layers.map((layer): [Digest, ConvertedLayer] => [layer.source, layer]))
    const { repository, source: raw } = task
    const config = await this.#deps.manifests.configWith(repository, image, interest)
    const pieces = image.layers.map(({ digest }) => bySource.get(digest))
    return await this.#deps.assembler.image(task, { raw, image, dialect }, config, pieces)
  }

  /** Which conversion of each child the index named. */
  async #childrenOf(
    index: ImageIndex,
    { repository, outputs }: ConvertedImage,
  ): Promise<ReadonlyMap<Digest, ConvertedImage>> {
    const named = new Set(outputs.map(({ digest }) => digest))
    const children = new Map<Digest, ConvertedImage>()
    for (const source of new Set(index.manifests.map(({ digest }) => digest))) {
      const made = (await this.#deps.catalog.conversions.listImages({ source })).find(
        (one) => named.has(one.target) && isSameRepository(one.repository, repository),
      )
      if (made !== undefined) children.set(source, made)
    }
    return children
  }
}
