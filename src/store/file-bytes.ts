/** Bytes of an open file as a stream that stays one read ahead of its consumer. */
import type { FileHandle } from 'node:fs/promises'
import type { ByteRange, ReadOptions } from '../ports/blobs.ts'

/** Large enough that the trips to the thread pool cost nothing, small enough for many pullers at once. */
export const READ_SIZE = 256 * 1024

/** For those whose buffers are used again: twice as fast as READ_SIZE for one puller. */
const LARGE_READ_SIZE = 512 * 1024

/** Streams that may hold large buffers at a time (32 MiB in all); more pullers share the disk, and get small ones. */
const LARGE_STREAMS = 32

/**
 * Memory of all other streams together. A client that takes nothing keeps what was read for it, so when many do, the rest get small
 * buffers, and nothing is read ahead.
 */
const BUDGET = 64 * 1024 * 1024
const SMALL_READ_SIZE = 32 * 1024

/** Buffers of each size that are kept for the next stream. */
const MAX_SPARE = 64

/** Reads files of one store, whose readers share the memory that this takes. */
export class FileReader {
  readonly #memory = new Memory()

  /** Ends early only where the file does. */
  async *read(
    handle: FileHandle,
    range: ByteRange,
    options: ReadOptions = {},
  ): AsyncGenerator<Uint8Array> {
    const isLong = range.end - range.start > READ_SIZE
    const buffers = this.#memory.buffersFor(options.reuse === true && isLong)
    yield* readInto(buffers, handle, range)
  }
}

async function* readInto(
  buffers: Buffers,
  handle: FileHandle,
  range: ByteRange,
): AsyncGenerator<Uint8Array> {
  let position = range.start
  const readNext = (): Promise<Buffer> | undefined => {
    const size = Math.min(buffers.size, range.end - position)
    if (size <= 0) return undefined
    const bytes = readFully(handle, buffers.take(size), position)
    position += size
    // Who leaves early never looks at the read ahead.
    bytes.catch(() => undefined)
    return bytes
  }
  let next = readNext()
  try {
    while (next !== undefined) {
      const bytes = await next
      next = buffers.mayReadAhead ? readNext() : undefined
      if (bytes.byteLength === 0) return
      yield bytes
      buffers.giveBack()
      next ??= readNext()
    }
  } finally {
    await next?.catch(() => undefined)
    buffers.release()
  }
}

/** What all readers hold, and buffers for those to come. */
class Memory {
  readonly spareLarge: Buffer[] = []
  readonly spareUsual: Buffer[] = []
  readonly spareSmall: Buffer[] = []
  largeStreams = 0
  /** Bytes that are read ahead or with consumers, those of large streams left out. */
  held = 0

  buffersFor(isReused: boolean): Buffers {
    if (!isReused) return new NewBuffers(this)
    const isLarge = this.largeStreams < LARGE_STREAMS
    return isLarge ? new AlternatingBuffers(this) : new PooledBuffers(this)
  }

  get hasRoom(): boolean {
    return this.held + READ_SIZE <= BUDGET
  }

  takeLarge(): Buffer {
    return this.spareLarge.pop() ?? Buffer.allocUnsafeSlow(LARGE_READ_SIZE)
  }
}

interface Buffers {
  /** Of the next buffer. */
  readonly size: number
  readonly mayReadAhead: boolean
  take(size: number): Buffer
  /** The consumer is done with the oldest. */
  giveBack(): void
  release(): void
}

abstract class BudgetedBuffers implements Buffers {
  /** What is read ahead or with the consumer. */
  readonly #taken: Buffer[] = []
  protected readonly memory: Memory

  constructor(memory: Memory) {
    this.memory = memory
  }

  get size(): number {
    return this.memory.hasRoom ? READ_SIZE : SMALL_READ_SIZE
  }

  get mayReadAhead(): boolean {
    return this.memory.hasRoom
  }

  take(size: number): Buffer {
    const buffer = this.allocate(size)
    this.#taken.push(buffer)
    this.memory.held += buffer.byteLength
    return buffer.subarray(0, size)
  }

  giveBack(): void {
    const buffer = this.#taken.shift()
    if (buffer === undefined) return
    this.memory.held -= buffer.byteLength
    this.free(buffer)
  }

  release(): void {
    while (this.#taken.length > 0) this.giveBack()
  }

  protected abstract allocate(size: number): Buffer
  protected abstract free(buffer: Buffer): void
}

/** For consumers that keep what they get. */
class NewBuffers extends BudgetedBuffers {
  protected allocate(size: number): Buffer {
    return Buffer.allocUnsafeSlow(size)
  }

  protected free(): void {}
}

/** Of two sizes, used again by whoever reads next. */
class PooledBuffers extends BudgetedBuffers {
  protected allocate(size: number): Buffer {
    const isSmall = size <= SMALL_READ_SIZE
    const pool = isSmall ? this.memory.spareSmall : this.memory.spareUsual
    return pool.pop() ?? Buffer.allocUnsafeSlow(isSmall ? SMALL_READ_SIZE : READ_SIZE)
  }

  protected free(buffer: Buffer): void {
    const isSmall = buffer.byteLength <= SMALL_READ_SIZE
    const pool = isSmall ? this.memory.spareSmall : this.memory.spareUsual
    if (pool.length < MAX_SPARE) pool.push(buffer)
  }
}

/** Two buffers in turn: one is with the consumer while the other is read into. */
class AlternatingBuffers implements Buffers {
  readonly size = LARGE_READ_SIZE
  readonly mayReadAhead = true
  readonly #memory: Memory
  #mine: Buffer
  #other: Buffer

  constructor(memory: Memory) {
    this.#memory = memory
    this.#mine = memory.takeLarge()
    this.#other = memory.takeLarge()
    memory.largeStreams += 1
  }

  take(size: number): Buffer {
    const next = this.#other
    this.#other = this.#mine
    this.#mine = next
    return next.subarray(0, size)
  }

  giveBack(): void {}

  release(): void {
    this.#memory.largeStreams -= 1
    this.#memory.spareLarge.push(this.#mine, this.#other)
  }
}

/** Fewer bytes than asked for only at the end of the file. */
async function readFully(handle: FileHandle, buffer: Buffer, position: number): Promise<Buffer> {
  const size = buffer.byteLength
  let filled = 0
  while (filled < size) {
    const { bytesRead } = await handle.read(buffer, filled, size - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled === size ? buffer : buffer.subarray(0, filled)
}
