/** The layer that a conversion reads, from wherever its bytes or its tar come: opened, unpacked, and what it unpacks to. */
import { type DecodeLimits, HEAD_SIZE } from '../codec/codec.ts'
import { decodeLayer } from '../codec/codecs.ts'
import type { Unpacked } from '../format/format.ts'
import type { ByteStream } from '../lib/streams.ts'
import type { Digest } from '../oci/digest.ts'
import type { OpenBlob } from '../pull/open-blob.ts'
import { type Content, contentOf } from './contents.ts'
import { HashedTar } from './hashed-tar.ts'
import type { LayerTask } from './layer-task.ts'
import type { Origin, Origins } from './origins.ts'
import type { LayerProgress } from './progress.ts'
import { arrival, ENOUGH, type Turn } from './turn.ts'

/** For whom it is read. */
export interface Reading {
  /** DiffIDs that those who wait for the layer take. */
  readonly wanted: ReadonlySet<Digest>
  /** Its slot. */
  readonly turn: Turn
}

export class LayerReader {
  readonly #origins: Origins
  readonly #limits: DecodeLimits

  constructor(origins: Origins, limits: DecodeLimits) {
    this.#origins = origins
    this.#limits = limits
  }

  /** Has the layer fetched, and waits until there is enough of it to begin with, or all of it. */
  async fetch(task: LayerTask, how: 'enough' | 'whole'): Promise<void> {
    const { growing } = (await this.open(task)).blob
    if (growing === undefined) return
    await (how === 'whole' ? growing.verified : arrival(growing, ENOUGH))
  }

  /** What the task's encoding reads. */
  async open({ repository, source, encoding, interest }: LayerTask): Promise<Origin> {
    return await this.#origins.open(repository, source.digest, encoding.reads, interest)
  }

  async openSource({ repository, source, interest }: LayerTask): Promise<OpenBlob> {
    return (await this.#origins.open(repository, source.digest, 'source', interest)).blob
  }

  /** How the source is stored. */
  async contentOf(task: LayerTask): Promise<Content> {
    const blob = await this.openSource(task)
    return await contentOf(blob.read({ start: 0, end: Math.min(HEAD_SIZE, blob.size) }))
  }

  /** As it is stored; `progress` is told how far it has come. */
  bytes(blob: OpenBlob, turn: Turn, progress?: LayerProgress): ByteStream {
    const bytes = turn.read(blob.read(), blob.growing)
    return progress === undefined ? bytes : counted(bytes, progress)
  }

  tar(blob: OpenBlob, turn: Turn, progress?: LayerProgress): ByteStream {
    return decodeLayer(this.bytes(blob, turn, progress), this.#limits)
  }

  /** Reads all of it. */
  async factsOf(blob: OpenBlob, task: LayerTask, { wanted, turn }: Reading): Promise<Unpacked> {
    const tar = new HashedTar(this.tar(blob, turn), task, wanted)
    for await (const _ of tar.read());
    return tar.facts()
  }
}

/** How far the one has come that has come furthest: some encodings read it several times. */
async function* counted(bytes: ByteStream, progress: LayerProgress): AsyncGenerator<Uint8Array> {
  let at = 0
  for await (const chunk of bytes) {
    at += chunk.byteLength
    progress.received = Math.max(progress.received, at)
    yield chunk
  }
}
