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

const spare: Buffer[] = []
const spareUsual: Buffer[] = []
const spareSmall: Buffer[] = []
let largeStreams = 0
let held = 0

/** Ends early only where the file does. */
export async function* fileBytes(
  handle: FileHandle,
  range: ByteRange,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const isLong = range.end - range.start > READ_SIZE
  const buffers = options.reuse && isLong ? usedAgain() : new NewBuffers()
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

function usedAgain(): Buffers {
  return largeStreams < LARGE_STREAMS ? new AlternatingBuffers() : new PooledBuffers()
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

  get size(): number {
    return held + READ_SIZE <= BUDGET ? READ_SIZE : SMALL_READ_SIZE
  }

  get mayReadAhead(): boolean {
    return held + READ_SIZE <= BUDGET
  }

  take(size: number): Buffer {
    const buffer = this.allocate(size)
    this.#taken.push(buffer)
    held += buffer.byteLength
    return buffer.subarray(0, size)
  }

  giveBack(): void {
    const buffer = this.#taken.shift()
    if (buffer === undefined) return
    held -= buffer.byteLength
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
    const pool = isSmall ? spareSmall : spareUsual
    return pool.pop() ?? Buffer.allocUnsafeSlow(isSmall ? SMALL_READ_SIZE : READ_SIZE)
  }

  protected free(buffer: Buffer): void {
    const pool = buffer.byteLength <= SMALL_READ_SIZE ? spareSmall : spareUsual
    if (pool.length < MAX_SPARE) pool.push(buffer)
  }
}

/** Two buffers in turn: one is with the consumer while the other is read into. */
class AlternatingBuffers implements Buffers {
  readonly size = LARGE_READ_SIZE
  readonly mayReadAhead = true
  #mine = takeSpare()
  #other = takeSpare()

  constructor() {
    largeStreams += 1
  }

  take(size: number): Buffer {
    const next = this.#other
    this.#other = this.#mine
    this.#mine = next
    return next.subarray(0, size)
  }

  giveBack(): void {}

  release(): void {
    largeStreams -= 1
    spare.push(this.#mine, this.#other)
  }
}

function takeSpare(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(LARGE_READ_SIZE)
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
