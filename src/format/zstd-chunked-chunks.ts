/**
 * Where zstd:chunked cuts a file: by its content, at the places podman's writer would choose, so that images made by either
 * share chunks; and around runs of zeros, which are never fetched.
 */
import { RollingSum } from './zstd-chunked-loops.ts'

/** Where the next chunk ends, counted from the file's start. */
export interface Cut {
  readonly end: number
  readonly isZeros: boolean
}

/** Shorter runs of zeros are data like any other. */
const MIN_ZEROS = 1024

/** No chunk is longer, though podman's may be; boundaries are free, and clients hold whole chunks in memory. */
const MAX_CHUNK = 4 * 1024 * 1024

const ZEROS = Buffer.alloc(64 * 1024)

export class ContentCutter {
  readonly #sum = new RollingSum()
  /** Bytes that were rolled or found to be in a hole, and where the chunk under way began. */
  #position = 0
  #start = 0
  /** Zeros behind `#position` of which it is not known yet whether they are a hole. */
  #pending = 0
  #isHole = false
  #cuts: Cut[] = []

  /** Cuts that are certain by now; they may lie up to MIN_ZEROS bytes behind what was pushed. */
  push(bytes: Uint8Array): readonly Cut[] {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at < buffer.length; ) {
      at = this.#isHole || this.#pending > 0 ? this.#zeros(buffer, at) : this.#data(buffer, at)
    }
    return this.#take()
  }

  /** The cuts up to the file's end. */
  finish(): readonly Cut[] {
    this.#roll(ZEROS.subarray(0, this.#pending))
    this.#pending = 0
    if (this.#position > this.#start) this.#cut(this.#position)
    return this.#take()
  }

  #take(): readonly Cut[] {
    const cuts = this.#cuts
    this.#cuts = []
    return cuts
  }

  /** Goes on with a run of zeros that an earlier part began. */
  #zeros(buffer: Buffer, at: number): number {
    const end = endOfZeros(buffer, at)
    this.#pending += end - at
    if (!this.#isHole && this.#pending >= MIN_ZEROS) {
      this.#cut(this.#position)
      this.#isHole = true
    }
    if (this.#isHole) this.#skip()
    if (end === buffer.length) return end
    if (this.#isHole) this.#cut(this.#position)
    else this.#roll(ZEROS.subarray(0, this.#pending))
    this.#isHole = false
    this.#pending = 0
    return end
  }

  /** Rolls over data up to the next hole, or up to zeros at the end that may become one. */
  #data(buffer: Buffer, at: number): number {
    const hole = findHole(buffer, at)
    let end = hole < 0 ? buffer.length : hole
    if (hole < 0) while (end > at && buffer[end - 1] === 0) end -= 1
    this.#roll(buffer.subarray(at, end))
    return end === buffer.length ? end : this.#zeros(buffer, end)
  }

  /** Counts the zeros of a hole at once; they have filled the window. */
  #skip(): void {
    while (this.#position + this.#pending - this.#start >= MAX_CHUNK) {
      const step = this.#start + MAX_CHUNK - this.#position
      this.#position += step
      this.#pending -= step
      this.#cut(this.#position)
    }
    this.#position += this.#pending
    this.#pending = 0
    this.#sum.reset()
  }

  #cut(end: number): void {
    if (end > this.#start) this.#cuts.push({ end, isZeros: this.#isHole })
    this.#start = end
  }

  /** Rolls the sum over data and cuts where it says so, or where a chunk gets too long. */
  #roll(bytes: Uint8Array): void {
    const base = this.#position
    this.#sum.roll(bytes, (end) => this.#cutData(base + end))
    this.#cutLong(base + bytes.byteLength)
    this.#position = base + bytes.byteLength
  }

  #cutData(end: number): void {
    this.#cutLong(end)
    this.#cut(end)
  }

  #cutLong(end: number): void {
    while (end - this.#start >= MAX_CHUNK) this.#cut(this.#start + MAX_CHUNK)
  }
}

/** Where MIN_ZEROS zeros in a row begin, -1 without any: one of them is where this looks, however far apart that is. */
function findHole(bytes: Uint8Array, from: number): number {
  for (let at = from + MIN_ZEROS - 1; at < bytes.byteLength; at += MIN_ZEROS) {
    if (bytes[at] !== 0) continue
    let start = at
    while (start > from && bytes[start - 1] === 0) start -= 1
    const enough = Math.min(start + MIN_ZEROS, bytes.byteLength)
    while (at < enough && bytes[at] === 0) at += 1
    if (at === start + MIN_ZEROS) return start
  }
  return -1
}

function endOfZeros(buffer: Buffer, at: number): number {
  let end = at
  while (end < buffer.length) {
    const size = Math.min(ZEROS.length, buffer.length - end)
    if (buffer.compare(ZEROS, 0, size, end, end + size) !== 0) break
    end += size
  }
  while (end < buffer.length && buffer[end] === 0) end += 1
  return end
}
