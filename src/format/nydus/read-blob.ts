/** Reads a nydus blob of ours from its end: the layer's tree and what a bootstrap must say of the blob. */
import { createHash } from 'node:crypto'
import { zstd } from '../../codec/zstd.ts'
import { collect, streamOf } from '../../lib/streams.ts'
import { Turns } from '../../lib/turns.ts'
import { type Digest, hexOf } from '../../oci/digest.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import { readChunkInfos } from './chunk-info.ts'
import { type BlobForm, FEATURES } from './constants.ts'
import { type LayerHead, openLayerRecord } from './layer-record.ts'
import type { LayerTree } from './layer-tree.ts'
import type { ImageTree } from './merge.ts'
import { RECORD_NAME } from './tail.ts'
import { HEADER_SIZE, parseToc, sha256, TOC_NAME, type TocEntry } from './toc.ts'

/** Some bytes of a blob; fewer are a failure. */
export type ReadAt = (offset: number, size: number) => Promise<Uint8Array>

export interface StoredBlob {
  readonly digest: Digest
  readonly size: number
  readonly read: ReadAt
}

/** Readers look no further for the table of contents. */
const MAX_TOC = 4096

export interface Layer {
  /** Its leaves are those of the image. */
  readonly tree: LayerTree
  /** None for a layer whose files have no bytes. */
  readonly blob: BlobEntry | undefined
}

/** A layer of an image, to be put on those below it. Throws RangeError for a blob that crossdock has not written like this. */
export async function readLayer(stored: StoredBlob, image: ImageTree): Promise<Layer> {
  const toc = await readToc(stored)
  const { head, tree } = openLayerRecord(await readSection(stored, toc.get(RECORD_NAME)))
  const own = await readBlobEntry(stored, toc, head)
  const place = own === undefined ? 0 : image.placeOf(own)
  const { leaves, contents } = image
  const blob = { place, chunks: own?.chunks.count ?? 0 }
  return {
    tree: await tree({ leaves, contents, blob }),
    blob: own && image.blobs[place],
  }
}

interface Toc {
  get(name: string): TocEntry
  find(name: string): TocEntry | undefined
  readonly size: number
  readonly digest: Uint8Array
}

async function readToc({ size, read }: StoredBlob): Promise<Toc> {
  const tailSize = Math.min(size, MAX_TOC)
  const tail = Buffer.from(await read(size - tailSize, tailSize))
  const header = tail.subarray(-HEADER_SIZE)
  const name = header.toString('latin1', 0, TOC_NAME.length)
  const tocSize = Number.parseInt(header.toString('latin1', 124, 135), 8)
  if (name !== TOC_NAME || !(tocSize <= tail.byteLength - HEADER_SIZE)) throw damaged()
  const bytes = tail.subarray(-HEADER_SIZE - tocSize, -HEADER_SIZE)
  const entries = new Map(parseToc(bytes).map((entry) => [entry.name, entry]))
  return {
    find: (wanted) => entries.get(wanted),
    get(wanted) {
      const entry = entries.get(wanted)
      if (entry === undefined) throw damaged()
      return entry
    },
    size: tocSize + HEADER_SIZE,
    digest: sha256(bytes, header),
  }
}

async function readBlobEntry(
  blob: StoredBlob,
  toc: Toc,
  head: LayerHead,
): Promise<BlobEntry | undefined> {
  const infos = toc.find('blob.meta')
  if (infos === undefined) return undefined
  const digests = await readSection(blob, toc.get('blob.digest'))
  const form: BlobForm = head.original === undefined ? 'native' : 'zran'
  const chunks = await readChunkInfos(form, await readSection(blob, infos), digests)
  const hex = hexOf(blob.digest)
  return {
    id: head.original?.id ?? hex,
    compressor: head.compressor,
    features: FEATURES[form],
    chunks,
    size: head.original?.size ?? blob.size,
    infos,
    toc: { size: toc.size, digest: toc.digest },
    ...(head.original && { meta: { size: blob.size, digest: Buffer.from(hex, 'hex') } }),
  }
}

/** Sections that are read: what 2 million entries need at most. */
const MAX_SECTION = 1024 ** 3

async function readSection({ read }: StoredBlob, section: TocEntry): Promise<Uint8Array> {
  const { at, storedSize, plainSize, compressor } = section
  if (Math.max(storedSize, plainSize) > MAX_SECTION) throw damaged()
  const bytes = await read(at, storedSize)
  const limits = { maxOutput: plainSize, maxWindowLog: MAX_WINDOW_LOG }
  const plain =
    compressor === 'none' ? bytes : await collect(zstd.decode(streamOf(bytes), limits), plainSize)
  if (plain.byteLength !== plainSize || !(await sha256Of(plain)).equals(section.digest)) {
    throw damaged()
  }
  return plain
}

/** Bytes that are hashed in one turn of the event loop. */
const TURN = 1024 * 1024

async function sha256Of(bytes: Uint8Array): Promise<Buffer> {
  const hash = createHash('sha256')
  const turns = new Turns(TURN)
  for (let at = 0; at < bytes.byteLength; at += TURN) {
    hash.update(bytes.subarray(at, at + TURN))
    await turns.spend(TURN)
  }
  return hash.digest()
}

/** More than the library takes for sections of this size. */
const MAX_WINDOW_LOG = 27

function damaged(): RangeError {
  return new RangeError('a nydus blob that is damaged, or not of this crossdock')
}
