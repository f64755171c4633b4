/**
 * Finds the frames of a zstd stream (RFC 8878 section 3.1) without decoding them, and refuses before anything is allocated
 * what should not be decoded: large windows, dictionaries, legacy formats.
 */
import type { CrossdockError } from '../errors.ts'
import { type ByteStream, join } from '../lib/streams.ts'
import { Cursor } from './cursor.ts'
import { corrupt, DecodeError } from './failure.ts'

/** Whole frames that follow each other, ready for one call of a decoder. */
export interface FrameBatch {
  readonly bytes: Uint8Array
  /** No more than this can come out. */
  readonly maxOutput: number
}

/** A batch takes frames until it has so many bytes, or so many could come out of it. */
const BATCH_BYTES = 1024 * 1024
const BATCH_OUTPUT = 4 * 1024 * 1024
/** A frame that may unpack to more, or has more bytes itself, is decoded as a stream. */
const LARGE = 8 * 1024 * 1024

/** Bytes of a large frame that go to the decoder at a time. */
const PIECE_BYTES = 256 * 1024

const MAGIC = 0xfd2fb528
/** 0x184d2a50 to 0x184d2a5f. */
const SKIPPABLE_MAGIC = 0x184d2a5
const MAX_BLOCK = 128 * 1024

/** Headers that are walked before other work gets its turn; a hostile stream may hold nothing but headers. */
const HEADERS_A_TURN = 1024

const BLOCK_RLE = 1
const BLOCK_COMPRESSED = 2
const BLOCK_RESERVED = 3

interface FrameHeader {
  readonly size: number
  readonly maxBlock: number
  readonly hasChecksum: boolean
}

/** A frame as far as it has been walked. */
interface OpenFrame {
  readonly header: FrameHeader
  readonly parts: Uint8Array[]
  size: number
  maxOutput: number
  /** True when its last block is there. */
  isWhole: boolean
}

export class FrameWalker {
  readonly #cursor: Cursor
  readonly #maxWindowLog: number
  #large: OpenFrame | undefined
  #headers = 0

  constructor(bytes: ByteStream, maxWindowLog: number) {
    this.#cursor = new Cursor(bytes)
    this.#maxWindowLog = maxWindowLog
  }

  /** Batches of frames up to the end or to a large frame, which `largeFrame` then has. */
  async *batches(): AsyncGenerator<FrameBatch> {
    let parts: Uint8Array[] = []
    let size = 0
    let maxOutput = 0
    for (;;) {
      const frame = await this.#frame()
      if (frame?.isWhole) {
        for (const part of frame.parts) append(parts, part)
        size += frame.size
        maxOutput += frame.maxOutput
        if (size < BATCH_BYTES && maxOutput < BATCH_OUTPUT) continue
      }
      if (parts.length > 0) yield { bytes: join(parts), maxOutput }
      parts = []
      size = 0
      maxOutput = 0
      if (frame === undefined) return
      if (!frame.isWhole) {
        this.#large = frame
        return
      }
    }
  }

  /** The bytes of the large frame at which `batches` stopped; read it to its end before going on. */
  largeFrame(): AsyncGenerator<Uint8Array> | undefined {
    const frame = this.#large
    this.#large = undefined
    return frame && this.#restOf(frame)
  }

  async close(): Promise<void> {
    await this.#cursor.close()
  }

  /** The next frame, whole or as far as it was walked when it proved large; `undefined` at the end. */
  async #frame(): Promise<OpenFrame | undefined> {
    await this.#skip()
    if (this.#cursor.isAtEnd) return undefined
    const header = await this.#header()
    const frame: OpenFrame = { header, parts: [], size: 0, maxOutput: 0, isWhole: false }
    await this.#take(frame, header.size)
    while (!frame.isWhole && frame.maxOutput <= LARGE && frame.size <= LARGE) {
      await this.#block(frame)
    }
    return frame
  }

  async *#restOf(frame: OpenFrame): AsyncGenerator<Uint8Array> {
    for (;;) {
      yield join(frame.parts.splice(0))
      if (frame.isWhole) return
      frame.size = 0
      while (!frame.isWhole && frame.size < PIECE_BYTES) await this.#block(frame)
    }
  }

  /** Takes one block, and the checksum after the last one. */
  async #block(frame: OpenFrame): Promise<void> {
    await this.#turn()
    const head = (await this.#need(3)).readUIntLE(0, 3)
    const isLast = (head & 1) === 1
    const type = (head >> 1) & 3
    const size = head >> 3
    const { maxBlock, hasChecksum } = frame.header
    if (type === BLOCK_RESERVED || size > maxBlock) {
      throw corrupt('zstd', 'a block that no encoder writes', 'corrupt')
    }
    frame.maxOutput += type === BLOCK_COMPRESSED ? maxBlock : size
    const checksum = isLast && hasChecksum ? 4 : 0
    await this.#take(frame, 3 + (type === BLOCK_RLE ? 1 : size) + checksum)
    frame.isWhole = isLast
  }

  /** Skippable frames, wherever they stand. */
  async #skip(): Promise<void> {
    while (await this.#cursor.fill(1)) {
      const magic = (await this.#need(4)).readUInt32LE(0)
      if (magic >>> 4 !== SKIPPABLE_MAGIC) return
      await this.#turn()
      let rest = (await this.#need(8)).readUInt32LE(4) + 8
      while (rest > 0) rest -= (await this.#some(rest)).byteLength
    }
  }

  async #header(): Promise<FrameHeader> {
    await this.#turn()
    const magic = (await this.#need(4)).readUInt32LE(0)
    if (magic !== MAGIC) {
      throw corrupt('zstd', 'bytes that are no frame where one should begin', 'trailing-data')
    }
    const descriptor = (await this.#need(5)).readUInt8(4)
    const isSingleSegment = (descriptor & 0x20) !== 0
    const windowBytes = isSingleSegment ? 0 : 1
    const contentBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
    if ((descriptor & 0x08) !== 0) throw corrupt('zstd', 'a reserved bit set', 'corrupt')
    if ((descriptor & 0x03) !== 0) throw corrupt('zstd', 'a dictionary', 'dictionary')
    const size = 5 + windowBytes + contentBytes
    const head = await this.#need(size)
    const window = isSingleSegment ? readContentSize(head, contentBytes) : readWindow(head)
    if (window > 2 ** this.#maxWindowLog) throw windowTooLarge(window, this.#maxWindowLog)
    return {
      size,
      maxBlock: Math.min(window, MAX_BLOCK),
      hasChecksum: (descriptor & 0x04) !== 0,
    }
  }

  async #take(frame: OpenFrame, size: number): Promise<void> {
    frame.size += size
    for (let rest = size; rest > 0; ) {
      const part = await this.#some(rest)
      append(frame.parts, part)
      rest -= part.byteLength
    }
  }

  async #some(size: number): Promise<Uint8Array> {
    if (!(await this.#cursor.fill(1))) throw truncated()
    return this.#cursor.take(size)
  }

  async #need(size: number): Promise<Buffer> {
    if (!(await this.#cursor.fill(size))) throw truncated()
    return this.#cursor.look(size)
  }

  async #turn(): Promise<void> {
    this.#headers += 1
    if (this.#headers % HEADERS_A_TURN === 0) await new Promise(setImmediate)
  }
}

/** Adds a part, to the last one where it goes on from there: frames and blocks are many, chunks are few. */
function append(parts: Uint8Array[], part: Uint8Array): void {
  const last = parts.at(-1)
  if (last?.buffer === part.buffer && last.byteOffset + last.byteLength === part.byteOffset) {
    parts[parts.length - 1] = join([last, part])
  } else {
    parts.push(part)
  }
}

/** Window_Descriptor: 5 bits of exponent, 3 of mantissa. */
function readWindow(header: Buffer): number {
  const byte = header.readUInt8(5)
  const base = 2 ** (10 + (byte >> 3))
  return base + (base / 8) * (byte & 7)
}

/** Frame_Content_Size of a single-segment frame, whose window it is; two bytes are counted from 256. */
function readContentSize(header: Buffer, bytes: number): number {
  if (bytes === 1) return header.readUInt8(5)
  if (bytes === 2) return header.readUInt16LE(5) + 256
  if (bytes === 4) return header.readUInt32LE(5)
  return Number(header.readBigUInt64LE(5))
}

function truncated(): CrossdockError {
  return corrupt('zstd', 'an end before its time', 'truncated')
}

function windowTooLarge(window: number, maxWindowLog: number): DecodeError {
  return new DecodeError(
    'badSize',
    `is refused: its zstd data needs a window of ${window} bytes, more than 2^${maxWindowLog}`,
    { reason: 'zstd-window' },
  )
}
