/** The whole store in memory: blobs, sidecars and catalog behind the same ports as the one on disk. */
import type { Digest } from '../../src/oci/digest.ts'
import type { Sidecar, SidecarStore } from '../../src/ports/sidecars.ts'
import { MemoryBlobs } from './memory-blobs.ts'
import { MemoryCatalog } from './memory-catalog.ts'

export interface MemoryStore {
  readonly blobs: MemoryBlobs
  readonly sidecars: MemorySidecars
  readonly catalog: MemoryCatalog
}

export function memoryStore(): MemoryStore {
  return { blobs: new MemoryBlobs(), sidecars: new MemorySidecars(), catalog: new MemoryCatalog() }
}

export class MemorySidecars implements SidecarStore {
  readonly #sidecars = new Map<Digest, Sidecar>()

  async read(digest: Digest): Promise<Sidecar | undefined> {
    return this.#sidecars.get(digest)
  }

  async update(
    digest: Digest,
    change: (current: Sidecar | undefined) => Sidecar | undefined,
  ): Promise<Sidecar | undefined> {
    // As where somebody else came first: callers must not mind.
    change({ digest, size: 0, mediaType: 'somebody/else', places: [] })
    const next = change(this.#sidecars.get(digest))
    if (next === undefined) this.#sidecars.delete(digest)
    else this.#sidecars.set(digest, next)
    return next
  }

  async *list(): AsyncGenerator<Sidecar> {
    yield* this.#sidecars.values()
  }
}
