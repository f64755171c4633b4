/**
 * Proof, while a zstd:chunked blob is written, that its frames decode to the very tar: podman does not fall back when the parts
 * of such a layer disagree, it fails the pull. Frames are decoded in batches, in libuv's pool.
 */
import { decompressFrames } from '../codec/zstd-frame.ts'
import { LayerRefusedError } from './format.ts'
import type { Piece } from './pieces.ts'

/** Plain bytes of one batch: many small frames cost one call. */
const BATCH_SIZE = 1024 * 1024

export class FrameCheck {
  #parts: Uint8Array[] = []
  #frames: Uint8Array[] = []
  #size = 0
  #total = 0
  #running: Promise<void> = Promise.resolve()

  /** Waits for the batch before, so that no more than two are in memory. */
  async add(piece: Piece, frame: Uint8Array): Promise<void> {
    this.#parts.push(...piece.parts)
    this.#frames.push(frame)
    this.#size += piece.size
    this.#total += piece.size
    if (this.#size >= BATCH_SIZE) await this.#flush()
  }

  /** Throws LayerRefusedError unless all of `tarSize` bytes came back. */
  async finish(tarSize: number, tarSplitSize: number): Promise<void> {
    await this.#flush()
    await this.#running
    if (this.#total !== tarSize || tarSplitSize !== tarSize) throw failed()
  }

  async #flush(): Promise<void> {
    await this.#running
    this.#running = checkBatch(this.#parts, Buffer.concat(this.#frames))
    this.#running.catch(() => undefined)
    this.#parts = []
    this.#frames = []
    this.#size = 0
  }
}

async function checkBatch(parts: readonly Uint8Array[], frames: Uint8Array): Promise<void> {
  if (frames.byteLength === 0) return
  const bytes = await decompressFrames(frames)
  const decoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  for (const part of parts) {
    const end = at + part.byteLength
    if (end > decoded.length || decoded.compare(part, 0, part.byteLength, at, end) !== 0)
      throw failed()
    at = end
  }
  if (at !== decoded.length) throw failed()
}

function failed(): LayerRefusedError {
  return new LayerRefusedError('the frames that were written do not decode to the layer')
}
