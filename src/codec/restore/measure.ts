/** How long bytes are, and their digest, as they pass. */
import { createHash } from 'node:crypto'

/** Bytes as a whole: how many, and their SHA-256 in hex. */
export interface Whole {
  readonly size: number
  readonly sha256: string
}

export class Measure {
  size = 0
  readonly #hash = createHash('sha256')

  add(bytes: Uint8Array): void {
    this.size += bytes.byteLength
    this.#hash.update(bytes)
  }

  /** Nothing can be added any more. */
  end(): Whole {
    return { size: this.size, sha256: this.#hash.digest('hex') }
  }

  /** The same, compared. */
  is({ size, sha256 }: Whole): boolean {
    return this.size === size && this.#hash.digest('hex') === sha256
  }
}
