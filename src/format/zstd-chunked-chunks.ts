/**
 * Where zstd:chunked cuts a file: by its content, at the places podman's writer would choose, so that images made by either
 * share chunks; and around runs of zeros, which are never fetched.
 */

/** Where the next chunk ends, counted from the file's start. */
export interface Cut {
  readonly end: number
  readonly isZeros: boolean
}

/** A rolling sum over this many bytes decides ("bup" and rsync's sum). */
const WINDOW = 64
const OFFSET = 31

/** A cut follows where the low 16 bits of the sum are all ones: 64 KiB on average. */
const SPLIT = 0xffff

/** Shorter runs of zeros are data like any other. */
const MIN_ZEROS = 1024

/** No chunk is longer, though podman's may be; boundaries are free, and clients hold whole chunks in memory. */
const MAX_CHUNK = 4 * 1024 * 1024

/** The sums over a window of zeros, which is also what a file begins with. */
const FIRST_S1 = WINDOW * OFFSET
const FIRST_S2 = WINDOW * (WINDOW - 1) * OFFSET

const ZEROS = Buffer.alloc(64 * 1024)
const NEEDLE = ZEROS.subarray(0, MIN_ZEROS)

export class ContentCutter {
  #s1 = FIRST_S1
  #s2 = FIRST_S2
  readonly #window = new Uint8Array(WINDOW)
  #at = 0
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
    this.#roll(ZEROS, 0, this.#pending)
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
    else this.#roll(ZEROS, 0, this.#pending)
    this.#isHole = false
    this.#pending = 0
    return end
  }

  /** Rolls over data up to the next hole, or up to zeros at the end that may become one. */
  #data(buffer: Buffer, at: number): number {
    const hole = buffer.indexOf(NEEDLE, at)
    let end = hole < 0 ? buffer.length : hole
    if (hole < 0) while (end > at && buffer[end - 1] === 0) end -= 1
    this.#roll(buffer, at, end)
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
    this.#window.fill(0)
    this.#s1 = FIRST_S1
    this.#s2 = FIRST_S2
  }

  #cut(end: number): void {
    if (end > this.#start) this.#cuts.push({ end, isZeros: this.#isHole })
    this.#start = end
  }

  /** Rolls the sum over data and cuts where it says so. */
  #roll(buffer: Uint8Array, from: number, to: number): void {
    const base = this.#position - from
    const early = Math.min(to, from + WINDOW)
    for (let i = from; i < to; ) {
      const end = Math.min(i < early ? early : to, this.#start + MAX_CHUNK - base)
      i = i < early ? this.#rollWindow(buffer, i, end) : this.#rollBuffer(buffer, i, end)
      const isSplit = (this.#s2 & SPLIT) === SPLIT
      if (isSplit || base + i - this.#start === MAX_CHUNK) this.#cut(base + i)
    }
    if (to - from >= WINDOW) {
      this.#window.set(buffer.subarray(to - WINDOW, to))
      this.#at = 0
    }
    this.#position = base + to
  }

  /** Bytes whose predecessors by a window lie in an earlier part. */
  #rollWindow(buffer: Uint8Array, from: number, end: number): number {
    for (let i = from; i < end; i += 1) {
      const byte = buffer[i] as number
      const drop = this.#window[this.#at] as number
      this.#s1 = (this.#s1 + byte - drop) | 0
      this.#s2 = (this.#s2 + this.#s1 - WINDOW * (drop + OFFSET)) | 0
      this.#window[this.#at] = byte
      this.#at = (this.#at + 1) % WINDOW
      if ((this.#s2 & SPLIT) === SPLIT) return i + 1
    }
    return end
  }

  /** The hot loop: locals only, no stores, and 32-bit arithmetic that wraps. */
  #rollBuffer(buffer: Uint8Array, from: number, end: number): number {
    let s1 = this.#s1
    let s2 = this.#s2
    let i = from
    while (i < end) {
      const drop = buffer[i - WINDOW] as number
      s1 = (s1 + (buffer[i] as number) - drop) | 0
      s2 = (s2 + s1 - WINDOW * (drop + OFFSET)) | 0
      i += 1
      if ((s2 & SPLIT) === SPLIT) break
    }
    this.#s1 = s1
    this.#s2 = s2
    return i
  }
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
