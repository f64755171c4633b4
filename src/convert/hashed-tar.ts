/** Digests and size of an uncompressed layer, found while it passes. */
import type { Unpacked } from '../format/format.ts'
import type { ByteStream } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher } from '../oci/digest.ts'
import type { LayerTask } from './layer-task.ts'

/** Whose the tar is, and what it may come to together with others. */
type Weighed = Pick<LayerTask, 'allowance'> & { readonly source: { readonly digest: Digest } }

export class HashedTar {
  readonly #tar: ByteStream
  readonly #task: Weighed
  readonly #hasher = new Hasher()
  readonly #hasher512: Hasher | undefined

  /** `wanted`: diffIDs that those who wait for it take. */
  constructor(tar: ByteStream, task: Weighed, wanted: ReadonlySet<Digest>) {
    this.#tar = tar
    this.#task = task
    this.#hasher512 = wants512(wanted) ? new Hasher('sha512') : undefined
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
  facts(): Unpacked {
    return {
      uncompressedSize: this.#hasher.size,
      diffId: this.#hasher.digest(),
      diffId512: this.#hasher512?.digest(),
    }
  }
}

/** Whether somebody's config names the layer by sha512. */
export function wants512(wanted: ReadonlySet<Digest>): boolean {
  return [...wanted].some((diffId) => algorithmOf(diffId) === 'sha512')
}
