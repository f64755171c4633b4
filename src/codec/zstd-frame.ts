/** Whole zstd frames in libuv's pool: one written, at the level that was asked for, or many read. */
import { compress, decompress } from '@mongodb-js/zstd/bindings.js'

/**
 * One normal frame, made in libuv's pool; the same bytes on every machine. Goes past the package's own entry, which drops the
 * level (1.2.2).
 */
export async function compressFrame(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return await compress(asBuffer(bytes), level)
}

/** What whole frames hold, all of it at once: the caller knows that it is not too much. */
export async function decompressFrames(frames: Uint8Array): Promise<Uint8Array> {
  return await decompress(asBuffer(frames))
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
