/** Digests and size of an uncompressed layer, found while it passes. */
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { LayerTask } from './layer-task.ts'

export interface TarFacts {
  readonly diffId: Digest
  /** The same in sha512, where somebody's config says it so. */
  readonly diffId512: Digest | undefined
  /** Bytes. */
  readonly uncompressedSize: number
}

export class HashedTar {
  readonly #tar: ByteStream
  readonly #task: LayerTask
  readonly #hasher = new Hasher()
  readonly #hasher512: Hasher | undefined

  /** `wanted`: diffIDs that those who wait for it take. */
  constructor(tar: ByteStream, task: LayerTask, wanted: ReadonlySet<Digest>) {
    this.#tar = tar
    this.#task = task
    const is512 = [...wanted].some((diffId) => algorithmOf(diffId) === 'sha512')
    this.#hasher512 = is512 ? new Hasher('sha512') : undefined
  }

  async *read(): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#tar) {
      this.#hasher.update(chunk)
      this.#hasher512?.update(chunk)
      this.#task.allowance?.count(this.#task.source.digest, this.#hasher.size)
      yield chunk
    }
  }

  /** Call it once, after the end. */
  facts(): TarFacts {
    return {
      uncompressedSize: this.#hasher.size,
      diffId: this.#hasher.digest(),
      diffId512: this.#hasher512?.digest(),
    }
  }
}
