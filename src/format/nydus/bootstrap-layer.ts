/** The layer that carries the bootstrap of an image: a gzip of a tar with one file (containerd/nydus-snapshotter pkg/converter). */
import { gzip } from '../../codec/gzip.ts'
import type { ByteStream } from '../../lib/streams.ts'
import { Turns } from '../../lib/turns.ts'
import { type Digest, Hasher } from '../../oci/digest.ts'
import { plainHeader, paddingOf } from '../../tar/writer.ts'
import type { Bootstrap } from './bootstrap.ts'

/** Bytes that are made, node by node, and hashed in one turn of the event loop. */
const TURN = 128 * 1024
const LEVEL = 6
const END_SIZE = 1024

export interface BootstrapLayer {
  /** The compressed layer, once. */
  readonly bytes: ByteStream
  /** Digest of the tar, when all bytes have been read. */
  diffId(): Digest
}

/** Same bytes for any concurrency. */
export function bootstrapLayer(bootstrap: Bootstrap, concurrency: number): BootstrapLayer {
  const hasher = new Hasher()
  return {
    bytes: gzip.encode(hashed(tarOf(bootstrap), hasher), LEVEL, { concurrency }),
    diffId: () => hasher.digest(),
  }
}

function* tarOf(bootstrap: Bootstrap): Generator<Uint8Array> {
  yield plainHeader({ name: 'image/', type: 'dir', mode: 0o755, size: 0 })
  yield plainHeader({ name: 'image/image.boot', type: 'reg', mode: 0o444, size: bootstrap.size })
  yield* bootstrap.parts()
  yield new Uint8Array(paddingOf(bootstrap.size) + END_SIZE)
}

async function* hashed(parts: Iterable<Uint8Array>, hasher: Hasher): AsyncGenerator<Uint8Array> {
  const turns = new Turns(TURN)
  for (const part of parts) {
    hasher.update(part)
    yield part
    await turns.spend(part.byteLength)
  }
}
