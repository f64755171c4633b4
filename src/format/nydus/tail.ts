/** What follows the data in a nydus blob: chunk infos, digests, the layer's record and bootstrap, and the table of contents of it all. */
import { compressFrame } from '../../codec/zstd-frame.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import { planBootstrap } from './bootstrap.ts'
import { INFO_HEADER_SIZE, type InfoHeader, type InfoPlace, infoHeader } from './chunk-info.ts'
import type { ChunkTable } from './chunks.ts'
import { type BlobForm, inlinedFeatures } from './constants.ts'
import { encodeLayerRecord, type LayerRecord } from './layer-record.ts'
import { HEADER_SIZE, sectionHeader, sha256, TOC_NAME, type TocEntry, tocBytes } from './toc.ts'

/** The section with our own record. */
export const RECORD_NAME = 'crossdock.layer'

/** Of all that is not data: what compresses well, and is read whole. */
const LEVEL = 3

export interface Tail {
  readonly form: BlobForm
  readonly chunks: ChunkTable
  /** How infos are stored, if that makes them smaller. */
  readonly infoCompressor: 'none' | 'zstd'
  /** The array and, for zran, what follows it. */
  readonly infos: Uint8Array
  readonly contexts?: InfoHeader['contexts']
  /** What a blob with data begins with. */
  readonly data?: { readonly size: number; readonly digest: Uint8Array }
  readonly record: LayerRecord
}

/** The bytes behind the data and, where there are some, their header. */
export async function* blobTail(tail: Tail): AsyncGenerator<Uint8Array> {
  const sections = new Sections(tail.data === undefined ? 0 : tail.data.size + HEADER_SIZE)
  const infos = tail.chunks.count > 0 ? await stored(tail.infos, tail.infoCompressor) : undefined
  const place: InfoPlace = {
    compressor: infos?.compressor ?? 'none',
    at: sections.position,
    storedSize: infos?.bytes.byteLength ?? 0,
    plainSize: infos === undefined ? 0 : tail.infos.byteLength,
  }
  if (infos !== undefined) {
    if (tail.data !== undefined)
      sections.addData(tail.data.digest, tail.data.size, tail.chunks.plainSize)
    yield* sections.addInfos(infos, tail, place)
    const { digests } = tail.chunks
    yield* sections.add('blob.digest', { bytes: digests, compressor: 'none' }, digests)
  }
  const record = encodeLayerRecord(tail.record)
  yield* sections.add(RECORD_NAME, await stored(record, 'zstd'), record)
  const bootstrap = ownBootstrap(tail, place, sections.position)
  yield* sections.add('image.boot', await stored(bootstrap, 'zstd'), bootstrap)
  yield* sections.finish()
}

/** Readers of blobs take it that a blob does not know its own digest. */
const UNKNOWN_ID = 'x'.repeat(64)

/** The layer alone, with its whiteouts as files: what upstream's tools merge. */
function ownBootstrap(tail: Tail, infos: InfoPlace, size: number): Buffer {
  const { tree, original } = tail.record
  const blob: BlobEntry = {
    id: original?.id ?? UNKNOWN_ID,
    compressor: tail.record.compressor,
    features: inlinedFeatures(tail.form),
    chunks: tail.chunks,
    size: original?.size ?? size,
    infos,
  }
  const rules = { blobOf: () => blob, chunksOf: (chunks: readonly number[]) => chunks }
  return Buffer.concat([...planBootstrap(tree.root, rules).parts()])
}

interface Stored {
  readonly bytes: Uint8Array
  readonly compressor: 'none' | 'zstd'
}

/** Compressed where that is wanted and makes it smaller. */
async function stored(plain: Uint8Array, compressor: 'none' | 'zstd'): Promise<Stored> {
  if (compressor === 'zstd') {
    const bytes = await compressFrame(plain, LEVEL)
    if (bytes.byteLength < plain.byteLength) return { bytes, compressor }
  }
  return { bytes: plain, compressor: 'none' }
}

class Sections {
  position: number
  readonly #entries: TocEntry[] = []

  constructor(position: number) {
    this.position = position
  }

  addData(digest: Uint8Array, size: number, plainSize: number): void {
    const place = { at: 0, storedSize: size, plainSize }
    this.#entries.push({ name: 'image.blob', compressor: 'none', digest, ...place })
  }

  /** The array and its header: one section of the blob, two of its table. */
  *addInfos(infos: Stored, tail: Tail, place: InfoPlace): Generator<Uint8Array> {
    const header = infoHeader({
      features: inlinedFeatures(tail.form),
      chunks: tail.chunks.count,
      place,
      ...(tail.contexts && { contexts: tail.contexts }),
    })
    this.#enter('blob.meta', infos, tail.infos)
    this.#enter('blob.meta.header', { bytes: header, compressor: 'none' }, header)
    yield infos.bytes
    yield header
    yield this.#end('blob.meta', infos.bytes.byteLength + INFO_HEADER_SIZE)
  }

  *add(name: string, { bytes, compressor }: Stored, plain: Uint8Array): Generator<Uint8Array> {
    this.#enter(name, { bytes, compressor }, plain)
    yield bytes
    yield this.#end(name, bytes.byteLength)
  }

  *finish(): Generator<Uint8Array> {
    const toc = tocBytes(this.#entries)
    yield toc
    yield sectionHeader(TOC_NAME, toc.byteLength)
  }

  #enter(name: string, { bytes, compressor }: Stored, plain: Uint8Array): void {
    const storedSize = bytes.byteLength
    const place = { at: this.position, storedSize, plainSize: plain.byteLength }
    this.#entries.push({ name, compressor, digest: sha256(plain), ...place })
    this.position += storedSize
  }

  #end(name: string, size: number): Uint8Array {
    this.position += HEADER_SIZE
    return sectionHeader(name, size)
  }
}
