/** The part of the content that a model has before it: history, chunk, look-ahead. */
import { HISTORY, SLIDE } from './model.ts'

const CAPACITY = 1024 * 1024
/** Bytes that may be read behind the last. */
const MARGIN = 16

/** Bytes of the array that a model sees. */
export const PLAIN_SIZE: number = CAPACITY + MARGIN

export class PlainWindow {
  readonly bytes: Uint8Array = new Uint8Array(PLAIN_SIZE)
  readonly view: DataView = new DataView(this.bytes.buffer)
  /** Bytes of the content before the window's first, and the index behind its last. */
  base = 0
  end = 0

  /** Puts as much of `piece` behind what is there as there is room for; returns how much. */
  append(piece: Uint8Array): number {
    const size = Math.min(piece.byteLength, CAPACITY - this.end)
    this.bytes.set(piece.subarray(0, size), this.end)
    this.end += size
    return size
  }

  /** Makes room where little is left, if it can: forgets what lies more than HISTORY before `at`. Returns how much that is. */
  slide(at: number): number {
    const by = Math.floor((at - HISTORY) / SLIDE) * SLIDE
    if (this.end < CAPACITY / 2 || by < CAPACITY / 4) return 0
    this.bytes.copyWithin(0, by, this.end)
    this.base += by
    this.end -= by
    return by
  }
}
