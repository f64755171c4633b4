/** What follows the data in a nydus blob: chunk infos, digests, the layer's record and bootstrap, and the table of contents of it all. */
import type { BlobEntry } from './bootstrap-tables.ts'
import { planBootstrap } from './bootstrap.ts'
import { INFO_HEADER_SIZE, type InfoHeader, type InfoPlace, infoHeader } from './chunk-info.ts'
import type { ChunkTable } from './chunks.ts'
import { type BlobForm, inlinedFeatures } from './constants.ts'
import { encodeLayerRecord, type LayerRecord } from './layer-record.ts'
import { FRAME_SIZE, Sections, type SectionCompressor } from './sections.ts'
import { HEADER_SIZE } from './toc.ts'

/** The section with our own record. */
export const RECORD_NAME = 'crossdock.layer'

export interface Tail {
  readonly form: BlobForm
  readonly chunks: ChunkTable
  /** How infos are stored, if that makes them smaller. */
  readonly infoCompressor: SectionCompressor
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
  const { data, chunks, form } = tail
  if (data !== undefined) sections.enterData(data.digest, data.size, chunks.plainSize)
  const infos = chunks.count > 0 ? yield* addInfos(sections, tail) : NO_INFOS
  const record = await encodeLayerRecord(tail.record)
  const { storedSize } = yield* sections.add(RECORD_NAME, [record], 'zstd', FRAME_SIZE)
  yield sections.header(RECORD_NAME, storedSize)
  const { original, compressor, tree } = tail.record
  const blob: BlobEntry = {
    id: original?.id ?? UNKNOWN_ID,
    compressor,
    features: inlinedFeatures(form),
    chunks,
    size: original?.size ?? sections.position,
    infos,
  }
  yield* addBootstrap(sections, blob, tree)
  yield* sections.finish()
}

const NO_INFOS: InfoPlace = { compressor: 'none', at: 0, storedSize: 0, plainSize: 0 }

/** The array and its header, which are one section in the blob and two in its table; then the digests. */
async function* addInfos(
  sections: Sections,
  { chunks, infos, infoCompressor, form, contexts }: Tail,
): AsyncGenerator<Uint8Array, InfoPlace> {
  const place = yield* sections.add('blob.meta', [infos], infoCompressor)
  const features = inlinedFeatures(form)
  const header = infoHeader({
    features,
    chunks: chunks.count,
    place,
    ...(contexts && { contexts }),
  })
  yield* sections.add('blob.meta.header', [header], 'none')
  yield sections.header('blob.meta', place.storedSize + INFO_HEADER_SIZE)
  const { storedSize } = yield* sections.add('blob.digest', [chunks.digests], 'none')
  yield sections.header('blob.digest', storedSize)
  return place
}

/** Readers of blobs take it that a blob does not know its own digest. */
const UNKNOWN_ID = 'x'.repeat(64)

/** Of the layer alone, with its whiteouts as files: what upstream's tools merge. */
async function* addBootstrap(
  sections: Sections,
  blob: BlobEntry,
  tree: LayerRecord['tree'],
): AsyncGenerator<Uint8Array> {
  const bootstrap = await planBootstrap({ ...tree, blobs: [blob] })
  const { storedSize } = yield* sections.add('image.boot', bootstrap.parts(), 'zstd', FRAME_SIZE)
  yield sections.header('image.boot', storedSize)
}
