/**
 * A nydus blob without data (RAFS v6 "zran"): its chunks are in the original gzip layer, and slices say where to begin to decompress
 * for them (dragonflyoss/nydus storage/src/meta/zran.rs, utils/src/compress/zlib_random.rs).
 */
import { hash } from 'node:crypto'
import { Inflater } from '../../codec/inflate/inflater.ts'
import { HEAD_SIZE } from '../../codec/codec.ts'
import { sniffCompression } from '../../codec/codecs.ts'
import { type ByteStream, peek } from '../../lib/streams.ts'
import { Turns } from '../../lib/turns.ts'
import { Hasher, hexOf } from '../../oci/digest.ts'
import { type TarEvent, TarParser } from '../../tar/reader.ts'
import { LayerRefusedError } from '../format.ts'
import { ChunkTable, KnownChunks } from './chunks.ts'
import { CHUNK_SIZE } from './constants.ts'
import { type LayerTree, LayerTreeBuilder } from './layer-tree.ts'
import { blobTail } from './tail.ts'
import { ChunkPlaces, type Mark, Slices } from './zran-slices.ts'
import { zranInfos } from './zran-infos.ts'

export interface ZranContext {
  /** Gets every byte of the tar, in memory that is used again. */
  readonly onTar: (bytes: Uint8Array) => void
  readonly signal?: AbortSignal | undefined
}

/** Work in one turn of the event loop: bytes of tar, and what a step costs beside its bytes. */
const TURN = 512 * 1024
const STEP_WORK = 4 * 1024

/**
 * The blob that describes a gzip layer; returns the tree that is in it. Throws LayerRefusedError for a layer that readers could not
 * decompress in parts, AmbiguousTarError as for the other form, `badManifest` for a gzip that is damaged.
 */
export async function* encodeZran(
  layer: ByteStream,
  { onTar, signal }: ZranContext,
): AsyncGenerator<Uint8Array, LayerTree> {
  const { head, rest } = await peek(layer, HEAD_SIZE)
  if (sniffCompression(head) !== 'gzip') {
    await rest.return(undefined)
    throw new LayerRefusedError('the layer is no gzip')
  }
  const reader = new ZranReader(onTar)
  const turns = new Turns(TURN)
  for await (const piece of rest) {
    signal?.throwIfAborted()
    reader.push(piece)
    for (let size = reader.step(); size > 0; size = reader.step()) {
      await turns.spend(size + STEP_WORK)
    }
  }
  const { tree, chunks, places, slices, original } = await reader.finish()
  const { bytes, contexts } = await zranInfos(chunks, places, slices)
  yield* blobTail({
    form: 'zran',
    chunks,
    infoCompressor: 'zstd',
    infos: bytes,
    contexts,
    record: { tree, compressor: 'gzip', original },
  })
  return tree
}

/** Decompresses up to the borders of chunks, where it looks how far the input has been used. */
class ZranReader {
  readonly #slices = new Slices()
  readonly #inflater = new Inflater(this.#slices.listener(() => this.#inflater.window()))
  readonly #tar = new TarParser()
  readonly #tree = new LayerTreeBuilder()
  readonly #chunks = new ChunkTable()
  readonly #known = new KnownChunks(this.#chunks)
  readonly #places = new ChunkPlaces()
  /** The chunk under way; its bytes are needed for their digest alone. */
  readonly #content = Buffer.alloc(CHUNK_SIZE)
  #chunk: { readonly begin: Mark; size: number } | undefined
  /** What the file under way still lacks. */
  #missing = 0
  readonly #layer = new Hasher()
  readonly #onTar: ZranContext['onTar']

  constructor(onTar: ZranContext['onTar']) {
    this.#onTar = onTar
  }

  push(piece: Uint8Array): void {
    this.#layer.update(piece)
    this.#inflater.push(piece)
  }

  /** Goes on by some bytes of the tar; returns how many, 0 when more input is needed. */
  step(): number {
    const inflater = this.#inflater
    const { produced } = inflater
    if (this.#missing > 0 && this.#chunk === undefined) {
      this.#chunk = { begin: this.#slices.mark(inflater.consumed, produced), size: 0 }
    }
    const left = this.#chunk === undefined ? this.#tar.missing : this.#leftOf(this.#chunk.size)
    const bytes = inflater.read(produced + left)
    if (bytes === undefined) return 0
    this.#onTar(bytes)
    // The inflater uses its memory again, and the reader of tars may wait for the rest of a header.
    const kept = this.#chunk === undefined ? bytes.slice() : bytes
    for (const event of this.#tar.push(kept)) this.#take(event)
    return bytes.byteLength
  }

  async finish() {
    this.#inflater.finish()
    while (this.step() > 0);
    this.#tar.finish()
    this.#known.clear()
    this.#slices.finish(this.#inflater.produced)
    const original = { size: this.#layer.size, id: hexOf(this.#layer.digest()) }
    const [chunks, places] = [this.#chunks, this.#places]
    const tree = await this.#tree.finish()
    return { tree, chunks, places, slices: this.#slices.all, original }
  }

  /** Bytes up to the end of the chunk under way. */
  #leftOf(size: number): number {
    return Math.min(CHUNK_SIZE - size, this.#missing)
  }

  #take(event: TarEvent): void {
    if (event.kind === 'entry') {
      this.#missing = this.#tree.add(event.entry) ? event.entry.size : 0
    } else if (event.kind === 'data' && this.#chunk !== undefined) {
      this.#content.set(event.bytes, this.#chunk.size)
      this.#chunk.size += event.bytes.byteLength
      this.#missing -= event.bytes.byteLength
      const { begin, size } = this.#chunk
      if (this.#leftOf(size) > 0) return
      this.#chunk = undefined
      this.#tree.addChunk(this.#numberOf(begin, size))
    }
  }

  /** Of the chunk that has just been read: that of an equal one, or a new one. */
  #numberOf(begin: Mark, size: number): number {
    const digest = hash('sha256', this.#content.subarray(0, size), 'buffer')
    const known = this.#known.find(digest, size)
    if (known !== undefined) return known
    const chunk = this.#chunks.add(digest, size)
    this.#known.add(chunk)
    const { consumed, produced } = this.#inflater
    this.#chunks.store(chunk, begin.consumed, Math.max(1, consumed - begin.consumed))
    this.#places.add(this.#slices.add(begin, size, consumed, produced))
    return chunk
  }
}
