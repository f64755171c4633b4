/** The sections of a nydus blob behind its data: each with a tar header that names it, and a table of all of them at the end. */
import { createHash } from 'node:crypto'
import { compressFrame } from '../../codec/zstd-frame.ts'
import { join } from '../../lib/streams.ts'
import { Turns } from '../../lib/turns.ts'
import { HEADER_SIZE, sectionHeader, TOC_NAME, type TocEntry, tocBytes } from './toc.ts'

/** Of all that is not data: it compresses well, and is read whole. */
const LEVEL = 3
/** Plain bytes of a frame, so that no more has to be held; for readers that take any number of them. */
export const FRAME_SIZE = 4 * 1024 * 1024
/** Bytes that are hashed in one turn of the event loop. */
const TURN = 1024 * 1024
/** Bytes that are made by who hands them over, node by node. */
const MAKING_TURN = 128 * 1024

export type SectionCompressor = TocEntry['compressor']

export class Sections {
  readonly #entries: TocEntry[] = []
  #position: number

  /** `position`: where they begin in the blob. */
  constructor(position: number) {
    this.#position = position
  }

  get position(): number {
    return this.#position
  }

  /** The data in front, which have a header already. */
  enterData(digest: Uint8Array, size: number, plainSize: number): void {
    const place = { at: 0, storedSize: size, plainSize }
    this.#entries.push({ name: 'image.blob', compressor: 'none', digest, ...place })
  }

  /** Returns its entry. What is one frame and not made smaller is stored as it is. */
  async *add(
    name: string,
    parts: Iterable<Uint8Array>,
    compressor: SectionCompressor,
    frameSize = Number.POSITIVE_INFINITY,
  ): AsyncGenerator<Uint8Array, TocEntry> {
    const at = this.#position
    const digest = createHash('sha256')
    const turns = new Turns(TURN)
    let plainSize = 0
    let stored: SectionCompressor = compressor
    for await (const piece of pieces(parts, frameSize)) {
      for (let done = 0; done < piece.byteLength; done += TURN) {
        digest.update(piece.subarray(done, done + TURN))
        await turns.spend(TURN)
      }
      const isOnly = plainSize === 0 && piece.byteLength < frameSize
      plainSize += piece.byteLength
      const packed = stored === 'zstd' ? await compressFrame(piece, LEVEL) : piece
      if (isOnly && packed.byteLength >= piece.byteLength) stored = 'none'
      const bytes = stored === 'none' ? piece : packed
      this.#position += bytes.byteLength
      yield bytes
    }
    const place = { at, storedSize: this.#position - at, plainSize }
    const entry = { name, compressor: stored, digest: digest.digest(), ...place }
    this.#entries.push(entry)
    return entry
  }

  /** Behind what has been added since the last one. */
  header(name: string, size: number): Uint8Array {
    this.#position += HEADER_SIZE
    return sectionHeader(name, size)
  }

  *finish(): Generator<Uint8Array> {
    const toc = tocBytes(this.#entries)
    yield toc
    yield sectionHeader(TOC_NAME, toc.byteLength)
  }
}

/** Pieces of this size, the last one shorter. */
async function* pieces(parts: Iterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const turns = new Turns(MAKING_TURN)
  let held: Uint8Array[] = []
  let missing = size
  for (const part of parts) {
    await turns.spend(part.byteLength)
    for (let at = 0; at < part.byteLength; ) {
      const piece = part.subarray(at, at + missing)
      held.push(piece)
      at += piece.byteLength
      missing -= piece.byteLength
      if (missing > 0) continue
      yield join(held)
      held = []
      missing = size
    }
  }
  if (held.length > 0) yield join(held)
}
