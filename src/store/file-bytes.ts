/** Bytes of an open file as a stream that stays one read ahead of its consumer. */
import type { FileHandle } from 'node:fs/promises'
import type { ByteRange, ReadOptions } from '../ports.ts'

/** Large enough that the trips to the thread pool cost nothing, small enough for many pullers at once. */
export const READ_SIZE = 256 * 1024

/** Buffers of ended streams that wait for the next one; more are left to the collector. */
const SPARE_BUFFERS = 64
const spare: Buffer[] = []

/** Ends early only where the file does. */
export async function* fileBytes(
  handle: FileHandle,
  range: ByteRange,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array> {
  const buffers = options.reuse ? new AlternatingBuffers() : new NewBuffers()
  let position = range.start
  const readNext = (): Promise<Buffer> | undefined => {
    const size = Math.min(READ_SIZE, range.end - position)
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
  take(size: number): Buffer {
    return Buffer.allocUnsafeSlow(size)
  }

  release(): void {}
}

/** Two buffers in turn: one is with the consumer while the other is read into. */
class AlternatingBuffers {
  readonly #buffers = [spare.pop(), spare.pop()].map(
    (one) => one ?? Buffer.allocUnsafeSlow(READ_SIZE),
  )
  #turn = 0

  take(size: number): Buffer {
    this.#turn = 1 - this.#turn
    const buffer = this.#buffers[this.#turn] ?? Buffer.allocUnsafeSlow(READ_SIZE)
    return buffer.subarray(0, size)
  }

  release(): void {
    spare.push(...this.#buffers.splice(0, SPARE_BUFFERS - spare.length))
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
