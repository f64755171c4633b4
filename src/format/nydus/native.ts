/**
 * A nydus blob with the data of one layer (RAFS v6): its files in chunks, each compressed alone, and equal chunks once. What follows
 * them is in `tail.ts`.
 */
import { hash } from 'node:crypto'
import { compressFrame } from '../../codec/zstd-frame.ts'
import { type ByteStream, join } from '../../lib/streams.ts'
import { readTarBatches, type TarEvent } from '../../tar/reader.ts'
import { Hasher } from '../../oci/digest.ts'
import { type Bytes, compressPieces } from '../pieces.ts'
import { chunkInfos } from './chunk-info.ts'
import { ChunkTable, KnownChunks } from './chunks.ts'
import { CHUNK_SIZE } from './constants.ts'
import { type LayerTree, LayerTreeBuilder } from './layer-tree.ts'
import { blobTail } from './tail.ts'
import { sectionHeader } from './toc.ts'

export type NativeCompression = 'none' | 'zstd'

/** Upstream's. */
const LEVEL = 3

export interface NativeOptions {
  readonly compression: NativeCompression
}

export interface BlobContext {
  readonly concurrency: number
  readonly signal?: AbortSignal | undefined
}

/** The blob of a layer; returns the tree that is in it. Throws AmbiguousTarError or LayerRefusedError. */
export async function* encodeNative(
  tar: ByteStream,
  { compression }: NativeOptions,
  context: BlobContext,
): AsyncGenerator<Uint8Array, LayerTree> {
  const cutter = new ChunkCutter()
  const data = new Hasher()
  const { chunks } = cutter
  const compress = (bytes: Uint8Array) => compressFrame(bytes, LEVEL)
  const batches = compressPieces<LayerTree, ChunkPiece>(cutter.cut(readTarBatches(tar)), compress, {
    concurrency: context.concurrency,
    signal: context.signal,
    packNow: (piece) => (compression === 'none' ? join(piece.parts) : undefined),
  })
  let step = await batches.next()
  for (; !step.done; step = await batches.next()) {
    let at = data.size
    const parts = step.value.map(({ piece, bytes: packed }) => {
      // Readers take a chunk for compressed when its size differs.
      const smaller = packed.byteLength < piece.size ? packed : join(piece.parts)
      chunks.store(piece.chunk, at, smaller.byteLength)
      at += smaller.byteLength
      return smaller
    })
    // To write, hash and hand on the many of small files one by one would cost more than to make them.
    const bytes = join(parts)
    data.update(bytes)
    yield bytes
  }
  const tree = step.value
  const { size } = data
  const header = sectionHeader('image.blob', size)
  if (chunks.count > 0) yield header
  yield* blobTail({
    form: 'native',
    chunks,
    infoCompressor: compression,
    infos: await chunkInfos(chunks),
    // Upstream's digest covers the header behind the data, and nobody checks it.
    ...(chunks.count > 0 && { data: { size, digest: bytesOf(data.update(header)) } }),
    record: { tree, compressor: compression },
  })
  return tree
}

function bytesOf(hasher: Hasher): Uint8Array {
  return Buffer.from(hasher.digest().slice('sha256:'.length), 'hex')
}

interface ChunkPiece extends Bytes {
  /** Number of the chunk. */
  readonly chunk: number
}

/** Cuts files into chunks and leaves out those that were there before. */
class ChunkCutter {
  readonly chunks = new ChunkTable()
  readonly #known = new KnownChunks(this.chunks)
  readonly #tree = new LayerTreeBuilder()
  /** Whether an entry is under way that is a file of the tree. */
  #isFile = false
  #missing = 0
  #parts: Uint8Array[] = []
  #size = 0

  async *cut(
    batches: AsyncIterable<Iterable<TarEvent>>,
  ): AsyncGenerator<readonly ChunkPiece[], LayerTree> {
    for await (const events of batches) yield [...this.#cutBatch(events)]
    this.#known.clear()
    return await this.#tree.finish()
  }

  *#cutBatch(events: Iterable<TarEvent>): Generator<ChunkPiece> {
    for (const event of events) {
      if (event.kind === 'entry') {
        this.#isFile = this.#tree.add(event.entry)
        this.#missing = event.entry.size
      } else if (event.kind === 'data' && this.#isFile) {
        yield* this.#data(event.bytes)
      }
    }
  }

  *#data(bytes: Uint8Array): Generator<ChunkPiece> {
    for (let at = 0; at < bytes.byteLength; ) {
      const part = bytes.subarray(at, at + CHUNK_SIZE - this.#size)
      at += part.byteLength
      this.#parts.push(part)
      this.#size += part.byteLength
      this.#missing -= part.byteLength
      if (this.#size < CHUNK_SIZE && this.#missing > 0) continue
      const piece = this.#take()
      if (piece !== undefined) yield piece
    }
  }

  /** The chunk that is complete, unless its content is known. */
  #take(): ChunkPiece | undefined {
    const content = join(this.#parts)
    this.#parts = []
    this.#size = 0
    const size = content.byteLength
    const digest = hash('sha256', content, 'buffer')
    const known = this.#known.find(digest, size)
    if (known !== undefined) {
      this.#tree.addChunk(known)
      return undefined
    }
    const chunk = this.chunks.add(digest, size)
    this.#known.add(chunk)
    this.#tree.addChunk(chunk)
    return { parts: [content], size, chunk }
  }
}
