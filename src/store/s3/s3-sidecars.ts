/** Sidecars as objects, changed by compare and swap. */
import { atOnce } from '../../lib/at-once.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Sidecar, SidecarStore } from '../../ports/sidecars.ts'
import { formatSidecar, parseSidecar } from '../sidecar-documents.ts'
import type { ReadDocument } from '../stored-documents.ts'
import { SIDECARS, sidecarIn, sidecarKey } from './keys.ts'
import type { Objects } from './objects.ts'
import type { Document, Swaps } from './swaps.ts'

/** Read at the same time. */
const AT_ONCE = 32

export class S3Sidecars implements SidecarStore {
  readonly #objects: Objects
  readonly #swaps: Swaps
  readonly #readDocument: ReadDocument

  constructor(objects: Objects, swaps: Swaps, readDocument: ReadDocument) {
    this.#objects = objects
    this.#swaps = swaps
    this.#readDocument = readDocument
  }

  async read(digest: Digest): Promise<Sidecar | undefined> {
    return await this.#swaps.read(this.#document(digest))
  }

  async update(
    digest: Digest,
    change: (current: Sidecar | undefined) => Sidecar | undefined,
    isNew?: boolean,
  ): Promise<Sidecar | undefined> {
    return await this.#swaps.update(this.#document(digest), change, isNew)
  }

  async *list(): AsyncGenerator<Sidecar> {
    yield* atOnce(this.#objects.list(SIDECARS), AT_ONCE, async ({ key }) => {
      const digest = sidecarIn(key)
      return digest && (await this.read(digest))
    })
  }

  #document(digest: Digest): Document<Sidecar> {
    return {
      key: sidecarKey(digest),
      parse: (text) => parseSidecar(digest, text, this.#readDocument),
      format: formatSidecar,
    }
  }
}
