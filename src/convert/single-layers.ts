/** What is made of one original layer alone, for no image: made, remembered and let go like every other piece. */
import type { DecodeLimits } from '../codec/codec.ts'
import { decodeLayer } from '../codec/codecs.ts'
import type { Encoding, FormatOptions } from '../format/format.ts'
import { COMMAND, Interest } from '../lib/interest.ts'
import type { ByteStream } from '../lib/streams.ts'
import { type Digest, Hasher } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import { type ConvertedLayer, isMade } from '../ports/conversions.ts'
import { keyOf, type LayerTask, sourceDiffId } from './layer-task.ts'
import type { Layers } from './layers.ts'
import type { Origins } from './origins.ts'
import type { LayerProgress } from './progress.ts'

export interface Making {
  readonly encoding: Encoding
  readonly options: FormatOptions
}

export interface SingleLayersDeps {
  readonly layers: Pick<Layers, 'convert'>
  readonly origins: Pick<Origins, 'open'>
  readonly catalog: Pick<Catalog, 'conversions'>
  readonly clock: Clock
  readonly limits: DecodeLimits
}

export class SingleLayers {
  readonly #deps: SingleLayersDeps

  constructor(deps: SingleLayersDeps) {
    this.#deps = deps
  }

  /**
   * Durable in the store when it resolves; nothing links to it. `onBegun` is told how far it is from then on. Throws Unsuitable for
   * what the encoding refuses, DecodeError for what is no sound layer.
   */
  async convert(
    { upstream, name }: Repository,
    { digest, size }: { readonly digest: Digest; readonly size: number },
    { encoding, options }: Making,
    onBegun: (progress: LayerProgress) => void = () => undefined,
  ): Promise<ConvertedLayer> {
    const repository = { upstream, name }
    const diffId = await this.#diffIdOf(repository, digest)
    const interest = new Interest(() => this.#deps.clock.monotonic())
    interest.add(COMMAND)
    const task: LayerTask = {
      ...{ repository, source: { digest, size }, diffId, encoding, interest },
      key: keyOf(digest, encoding, options),
    }
    try {
      const { progress, result } = this.#deps.layers.convert(task)
      onBegun(progress)
      return await result
    } finally {
      interest.end()
    }
  }

  /** Opens what the layer unpacks to, out of whatever lies here that does. */
  async tar(
    repository: Repository,
    source: Digest,
    limits: DecodeLimits = this.#deps.limits,
  ): Promise<() => ByteStream> {
    const { blob } = await this.#deps.origins.open(repository, source, 'tar')
    return () => decodeLayer(blob.read(), limits)
  }

  /** As sha256. Who made something of it before has found out. */
  async #diffIdOf(repository: Repository, source: Digest): Promise<Digest> {
    const known = await this.#deps.catalog.conversions.listLayers(source)
    const [found] = known.map((one) => (isMade(one) ? sourceDiffId(one) : one.diffId))
    if (found !== undefined) return found
    const hasher = new Hasher('sha256')
    const read = await this.tar(repository, source)
    for await (const chunk of read()) hasher.update(chunk)
    return hasher.digest()
  }
}
