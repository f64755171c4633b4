/** The soak's upstream content: images out of a seed, byte for byte the same in every run, whose tags move on. */
import { createCipheriv } from 'node:crypto'
import {
  type Compression,
  type Dialect,
  type FakeImage,
  type FakeIndex,
  type FakeLayer,
  fakeImage,
  fakeIndex,
  fakeLayer,
} from './fake-image.ts'
import type { FakeRegistry } from './fake-registry.ts'
import type { Dice } from './faults-seed.ts'

const REPOSITORIES = 12
const TAGS = ['1', '2', '3'] as const
/** Layers that many images have. */
const BASES = 6
const LAYER_BYTES = { least: 20_000, most: 400_000 } as const
/** Of what stalled readers read, so that it fits in no socket buffer. */
const LARGE_BYTES = 12_000_000

export const LARGE = { name: 'soak/large', tag: '1' } as const

export class SoakImages {
  readonly names: readonly string[]
  readonly tags = TAGS
  /** Every image that any tag ever named, by its digest. */
  readonly images = new Map<string, { readonly name: string; readonly image: FakeImage }>()
  readonly #origin: FakeRegistry
  readonly #dice: Dice
  readonly #bases: FakeLayer[] = []

  private constructor(origin: FakeRegistry, dice: Dice) {
    this.#origin = origin
    this.#dice = dice
    this.names = Array.from({ length: REPOSITORIES }, (_, i) => `soak/app${i}`)
  }

  static async push(origin: FakeRegistry, dice: Dice): Promise<SoakImages> {
    const made = new SoakImages(origin, dice)
    for (let i = 0; i < BASES; i += 1) {
      made.#bases.push(await made.#layer(LAYER_BYTES.most * 2, 'gzip', 'oci'))
    }
    for (const name of made.names) for (const tag of TAGS) await made.move(name, tag)
    const layers = [await made.#layer(LARGE_BYTES, 'none', 'oci')]
    const large = await fakeImage({ layers })
    origin.push(LARGE.name, LARGE.tag, large)
    made.images.set(large.digest, { name: LARGE.name, image: large })
    return made
  }

  /** Gives a tag another image, or index; what it named before stays where it is. */
  async move(name: string, tag: string): Promise<void> {
    const dice = this.#dice
    const dialect = dice.pick<Dialect>(['oci', 'oci', 'docker'])
    const compression = dice.pick<Compression>(
      dialect === 'docker' ? ['gzip'] : ['gzip', 'gzip', 'gzip', 'zstd', 'none'],
    )
    if (dice.chance(0.25)) {
      const images: FakeImage[] = []
      for (const platform of ['linux/amd64', 'linux/arm64']) {
        images.push(await this.#image(name, compression, dialect, platform))
      }
      const index: FakeIndex = fakeIndex(images, { dialect })
      this.#origin.push(name, tag, index)
    } else {
      const image = await this.#image(name, compression, dialect, 'linux/amd64')
      this.#origin.push(name, tag, image)
    }
  }

  async #image(
    name: string,
    compression: Compression,
    dialect: Dialect,
    platform: string,
  ): Promise<FakeImage> {
    const dice = this.#dice
    const layers: FakeLayer[] = []
    if (dialect === 'oci') layers.push(dice.pick(this.#bases))
    for (let i = 0; i <= dice.int(2); i += 1) {
      const size = LAYER_BYTES.least + dice.int(LAYER_BYTES.most - LAYER_BYTES.least)
      layers.push(await this.#layer(size, compression, dialect))
    }
    const image = await fakeImage({ layers, dialect, platform })
    this.images.set(image.digest, { name, image })
    return image
  }

  #layer(size: number, compression: Compression, dialect: Dialect): Promise<FakeLayer> {
    const noise = noiseOf(this.#dice, Math.ceil(size / 2))
    const text = Buffer.alloc(Math.floor(size / 2), noise.subarray(0, 64).toString('hex'))
    const files = [
      { name: 'usr/', type: 'directory' as const },
      { name: 'usr/noise', body: noise },
      { name: 'usr/text', body: text },
      { name: 'usr/link', type: 'symlink' as const, linkname: 'text' },
    ]
    return fakeLayer({ files, compression, dialect })
  }
}

/** Bytes that do not compress, out of the dice. */
function noiseOf(dice: Dice, size: number): Buffer {
  const key = Buffer.alloc(16)
  for (let i = 0; i < 4; i += 1) key.writeUInt32LE(dice.int(2 ** 32), i * 4)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size))
}
