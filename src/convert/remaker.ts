/** Converted manifests and configs that are gone, written again from what is recorded of them: nothing is converted. */
import { findFormat } from '../format/formats.ts'
import { COMMAND, Interest, type Waiter } from '../lib/interest.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor, ImageIndex, ImageManifest } from '../oci/manifest.ts'
import { type Dialect, findMediaType } from '../oci/media-type.ts'
import type {
  Catalog,
  Clock,
  ConvertedImage,
  ConvertedLayer,
  RawManifest,
  Repository,
} from '../ports.ts'
import { isSameRepository, type Manifests } from '../pull/manifests.ts'
import { type AssembledImage, assembleImage, assembleIndex } from './assembly.ts'
import { type ImageWork, parseRecipe } from './image-task.ts'
import { planImage } from './plan.ts'
import type { Publisher } from './publisher.ts'

export class Remaker {
  readonly #catalog: Catalog
  readonly #manifests: Manifests
  readonly #publisher: Publisher
  readonly #clock: Clock

  constructor(deps: {
    readonly catalog: Catalog
    readonly manifests: Manifests
    readonly publisher: Publisher
    readonly clock: Clock
  }) {
    this.#catalog = deps.catalog
    this.#manifests = deps.manifests
    this.#publisher = deps.publisher
    this.#clock = deps.clock
  }

  /** True when the manifest came out with the same digest, and is here again together with its config. */
  async remake(repository: Repository, target: Digest, by: Waiter = COMMAND): Promise<boolean> {
    for (const made of await this.#catalog.conversions.listImages({ target })) {
      if (isSameRepository(made.repository, repository) && (await this.#again(made, by)))
        return true
    }
    return false
  }

  /** The same for a config that was changed for a format. */
  async remakeConfig(
    repository: Repository,
    config: Digest,
    by: Waiter = COMMAND,
  ): Promise<boolean> {
    for (const made of await this.#catalog.conversions.listImages({ output: config })) {
      if (isSameRepository(made.repository, repository) && (await this.#again(made, by)))
        return true
    }
    return false
  }

  async #again(made: ConvertedImage, by: Waiter): Promise<boolean> {
    const source = await this.#manifests.get(made.repository, made.source)
    const recipe = parseRecipe(made.recipe)
    const format = findFormat(recipe.format)
    if (source === undefined || format?.revision !== recipe.revision) return false
    const interest = new Interest(() => this.#clock.monotonic())
    interest.add(by)
    const task: ImageWork = {
      repository: made.repository,
      source,
      format,
      profile: recipe.profile,
      options: recipe.options,
      acceptance: recipe.dialect === 'docker' ? 'docker' : 'any',
      platforms: 'all',
      interest,
    }
    const { manifest, config } = await this.#assemble(task, made)
    if (manifest.digest !== made.target) return false
    if (config !== undefined) await this.#manifests.put(config)
    await this.#publisher.publish(manifest, source, made)
    return true
  }

  async #assemble(
    task: ImageWork,
    made: ConvertedImage,
  ): Promise<{ readonly manifest: RawManifest; readonly config?: AssembledImage['config'] }> {
    const source = this.#manifests.parse(task.source)
    const dialect = findMediaType(made.mediaType)?.dialect ?? source.dialect
    if (source.kind === 'image') return await this.#assembleImage(task, source, dialect, made)
    const children = await this.#childrenOf(source, made)
    const index = { raw: task.source, index: source, dialect }
    return { manifest: assembleIndex(task, index, children) }
  }

  async #assembleImage(
    task: ImageWork,
    image: ImageManifest,
    dialect: Dialect,
    { layers }: ConvertedImage,
  ): Promise<AssembledImage> {
    const { repository, interest } = task
    const bySource = new Map(layers.map((layer): [Digest, ConvertedLayer] => [layer.source, layer]))
    const config = await this.#manifests.config(repository, image, interest)
    // What was made of a layer says that it was not kept.
    const mayKeep = ({ digest }: Descriptor) => !bySource.has(digest)
    const plan = planImage(image, config, task, dialect, mayKeep)
    if (plan.kind === 'original') throw new Error('what was converted has a plan')
    const converted = image.layers.map(({ digest }, i) =>
      plan.steps[i]?.deed === 'keep' ? undefined : bySource.get(digest),
    )
    const bytes = await this.#manifests.configBytes(repository, image, interest)
    const survey = { raw: task.source, image, plan }
    return assembleImage(task, survey, { bytes, diffIds: config.diffIds }, converted)
  }

  /** Which conversion of each child the index named. */
  async #childrenOf(
    index: ImageIndex,
    { repository, outputs }: ConvertedImage,
  ): Promise<ReadonlyMap<Digest, ConvertedImage>> {
    const named = new Set(outputs.map(({ digest }) => digest))
    const children = new Map<Digest, ConvertedImage>()
    for (const source of new Set(index.manifests.map(({ digest }) => digest))) {
      const made = (await this.#catalog.conversions.listImages({ source })).find(
        (one) => named.has(one.target) && isSameRepository(one.repository, repository),
      )
      if (made !== undefined) children.set(source, made)
    }
    return children
  }
}
