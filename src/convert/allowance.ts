/** What the layers of one image may unpack to together; a layer that comes twice, or is begun again, counts once. */
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import type { Repository } from '../oci/repository.ts'

const REASON = 'image-too-large'

export class Allowance {
  readonly #repository: Repository
  readonly #limit: number
  readonly #sizes = new Map<Digest, number>()
  #total = 0

  /** `limit` in bytes. */
  constructor(repository: Repository, limit: number) {
    this.#repository = repository
    this.#limit = limit
  }

  /** Notes how much has come out of a layer so far. Throws `badSize` from when it is too much, whichever layer asks. */
  count(layer: Digest, size: number): void {
    const before = this.#sizes.get(layer) ?? 0
    if (size > before) {
      this.#sizes.set(layer, size)
      this.#total += size - before
    }
    if (this.#total > this.#limit) throw this.#beyond()
  }

  #beyond(): CrossdockError {
    const { upstream, name } = this.#repository
    return new CrossdockError(
      'badSize',
      `image of ${upstream}/${name} is refused: its layers unpack to more than ${this.#limit} bytes together; raise limits.imageUncompressed if it is real`,
      { reason: REASON },
    )
  }
}

/** True for what says nothing about the layer that it happened at. */
export function isBeyondAllowance(error: unknown): boolean {
  return error instanceof CrossdockError && error.reason === REASON
}
