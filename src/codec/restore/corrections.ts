/** The container of corrections: what travels in a bundle instead of a gzip stream, beside its content. */
import { createHash } from 'node:crypto'
import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { ByteSink, ByteSource } from './byte-sink.ts'
import { damaged, unknownCorrections } from './failure.ts'
import { type LedgerReader, type LedgerWriter, readLedger, writeLedger } from './ledger.ts'
import type { Whole } from './measure.ts'

/*
 * 0   "gzfix" and the version of what follows
 * 6   SHA-256 of all that follows
 * 38  one zstd frame of:
 *     numbers (byte-sink.ts): the model's id; the content's size; the stream's size; how many members
 *     SHA-256 of the content; SHA-256 of the stream
 *     the ledger's lanes (ledger.ts), each with its size: members, headers, segments, chunks, tokens, plans, tails
 */
const MAGIC = Buffer.from('gzfix')
const VERSION = 1
const HASH_SIZE = 32
const BODY = MAGIC.byteLength + 1 + HASH_SIZE

/** Bytes of the frame's content: more than any layer's corrections that are worth it. */
export const MAX_CORRECTIONS = 64 * 1024 * 1024
const LEVEL = 19
/** Bytes for the sizes of all lanes, and more. */
const LANES_MARGIN = 64

/** Corrections of more than this part of the stream are not worth it; short streams always have some. */
const MOST = 0.05
const ALWAYS = 8 * 1024

/** Bytes that a ledger takes at most, for a stream of so many. */
export function mostCorrections(streamSize: number): number {
  return Math.min(MAX_CORRECTIONS, Math.max(ALWAYS, MOST * streamSize))
}

export interface Corrected {
  /** The model's id. */
  readonly model: number
  readonly tar: Whole
  readonly gzip: Whole
  readonly members: number
}

export function writeCorrections(corrected: Corrected, ledger: LedgerWriter): Uint8Array {
  const { model, tar, gzip, members } = corrected
  const sink = new ByteSink()
  for (const value of [model, tar.size, gzip.size, members]) sink.number(value)
  for (const { sha256 } of [tar, gzip]) sink.bytes(Buffer.from(sha256, 'hex'))
  writeLedger(sink, ledger)
  const body = zstdCompressSync(sink.written, {
    params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
  })
  return new Uint8Array(Buffer.concat([MAGIC, Uint8Array.of(VERSION), hashOf(body), body]))
}

/** Throws `badManifest` for what is damaged, or of another version. */
export function readCorrections(bytes: Uint8Array): Corrected & { readonly ledger: LedgerReader } {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!all.subarray(0, MAGIC.byteLength).equals(MAGIC)) throw damaged('they are no such thing')
  const version = all[MAGIC.byteLength]
  if (version !== VERSION) throw unknownCorrections(`version ${version}`)
  const body = all.subarray(BODY)
  if (!all.subarray(MAGIC.byteLength + 1, BODY).equals(hashOf(body))) {
    throw damaged('their check sum is wrong')
  }
  const source = new ByteSource(unpack(body))
  const model = source.number()
  const sizes = { tar: source.number(), gzip: source.number() }
  const members = source.number()
  const tar = { size: sizes.tar, sha256: Buffer.from(source.bytes(HASH_SIZE)).toString('hex') }
  const gzip = { size: sizes.gzip, sha256: Buffer.from(source.bytes(HASH_SIZE)).toString('hex') }
  // Each takes some work: it must be in proportion to what is made.
  if (source.left > mostCorrections(gzip.size) + LANES_MARGIN) {
    throw damaged('they are more than a stream of that size may have')
  }
  return { model, tar, gzip, members, ledger: readLedger(source) }
}

function unpack(body: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(body, { maxOutputLength: MAX_CORRECTIONS })
  } catch (error) {
    throw damaged('they cannot be decompressed', error)
  }
}

function hashOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
