/** Bytes of files on the disk of whoever runs a command. */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

const READ_SIZE = 1024 * 1024

/** One file after the other, as one stream. */
export async function* readFiles(
  paths: readonly string[],
  flags: number = constants.O_RDONLY,
): AsyncGenerator<Uint8Array> {
  for (const path of paths) {
    const file = await open(path, flags)
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(
          Buffer.allocUnsafeSlow(READ_SIZE),
          0,
          READ_SIZE,
        )
        if (bytesRead === 0) break
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }
}
