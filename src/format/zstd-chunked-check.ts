/**
 * Proof, while a zstd:chunked blob is written, that its frames decode to the very tar: podman does not fall back when the parts
 * of such a layer disagree, it fails the pull. Frames are decoded in batches, in libuv's pool.
 */
import { giveBack, lend, PassingMemory } from '../codec/lent-memory.ts'
import { decompressFrames } from '../codec/zstd-frame.ts'
import { LayerRefusedError } from './format.ts'
import type { PackedPiece } from './pieces.ts'

export class FrameCheck {
  #total = 0
  #running: Promise<void> = Promise.resolve()
  readonly #memory = new PassingMemory()

  /** Takes pieces and all their frames. Waits for the batch before, so that no more than two are in memory. */
  async add(packed: readonly PackedPiece[], frames: Uint8Array): Promise<void> {
    await this.#running
    const parts = packed.flatMap(({ piece }) => piece.parts)
    for (const { piece } of packed) this.#total += piece.size
    this.#running = this.#check(parts, frames)
    this.#running.catch(() => undefined)
  }

  /** The last one to look at the layer's bytes. */
  async #check(parts: readonly Uint8Array[], frames: Uint8Array): Promise<void> {
    await checkBatch(parts, frames)
    for (const part of parts) this.#memory.passed(part)
  }

  /** Throws LayerRefusedError unless all of `tarSize` bytes came back. */
  async finish(tarSize: number, tarSplitSize: number): Promise<void> {
    await this.#running
    if (this.#total !== tarSize || tarSplitSize !== tarSize) throw failed()
  }
}

async function checkBatch(parts: readonly Uint8Array[], frames: Uint8Array): Promise<void> {
  const bytes = await decompressFrames(frames).catch((error: unknown) => {
    throw failed(error)
  })
  const decoded = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0
  for (const part of parts) {
    const end = at + part.byteLength
    if (end > decoded.length || decoded.compare(part, 0, part.byteLength, at, end) !== 0)
      throw failed()
    at = end
  }
  if (at !== decoded.length) throw failed()
  giveBack(lend(bytes))
}

function failed(cause?: unknown): LayerRefusedError {
  return new LayerRefusedError('the frames that were written do not decode to the layer', { cause })
}
