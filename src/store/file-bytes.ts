/** Bytes of an open file as a stream that stays one read ahead of its consumer. */
import type { FileHandle } from 'node:fs/promises'
import type { ByteRange } from '../ports.ts'

/** Large enough that the trips to the thread pool cost nothing, small enough for many pullers at once. */
export const READ_SIZE = 256 * 1024

/** Ends early only where the file does. */
export async function* fileBytes(handle: FileHandle, range: ByteRange): AsyncGenerator<Uint8Array> {
  let position = range.start
  const readNext = (): Promise<Buffer> | undefined => {
    const size = Math.min(READ_SIZE, range.end - position)
    if (size <= 0) return undefined
    const bytes = readFully(handle, position, size)
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
  }
}

/** Fewer bytes than asked for only at the end of the file. */
async function readFully(handle: FileHandle, position: number, size: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(size)
  let filled = 0
  while (filled < size) {
    const { bytesRead } = await handle.read(buffer, filled, size - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled === size ? buffer : buffer.subarray(0, filled)
}
