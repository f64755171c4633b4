/** Bytes of an open file as a stream that stays one read ahead of its consumer. */
import type { FileHandle } from 'node:fs/promises'
import type { ByteRange, ReadOptions } from '../ports.ts'

/** Large enough that the trips to the thread pool cost nothing, small enough for many pullers at once. */
export const READ_SIZE = 256 * 1024

/** For those whose buffers are used again: twice as fast as READ_SIZE for one puller. */
const LARGE_READ_SIZE = 512 * 1024

/** Streams that may hold large buffers at a time (32 MiB in all); more pullers share the disk, and get small ones. */
const LARGE_STREAMS = 32

const spare: Buffer[] = []
let largeStreams = 0

/** Ends early only where the file does. */
export async function* fileBytes(
  handle: FileHandle,
  range: ByteRange,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const isLong = range.end - range.start > READ_SIZE
  const buffers =
    options.reuse && isLong && largeStreams < LARGE_STREAMS
      ? new AlternatingBuffers()
      : new NewBuffers()
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
  let ahead = readNext()
  try {
    while (ahead !== undefined) {
      const bytes = await ahead
      ahead = readNext()
      if (bytes.byteLength === 0) return
      yield bytes
    }
  } finally {
    await ahead?.catch(() => undefined)
    buffers.release()
  }
}

class NewBuffers {
  readonly size = READ_SIZE

  take(size: number): Buffer {
    return Buffer.allocUnsafeSlow(size)
  }

  release(): void {}
}

/** Two buffers in turn: one is with the consumer while the other is read into. */
class AlternatingBuffers {
  readonly size = LARGE_READ_SIZE
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
