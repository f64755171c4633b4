/** CRC-64/ISO as tar-split wants it (Go's hash/crc64): polynomial 0xD800000000000000, reflected, all ones before and after. */

const POLYNOMIAL_HIGH = 0xd8000000

/** Bytes that one step takes. */
const STEP = 8

export class Crc64 {
  #high = -1
  #low = -1

  update(bytes: Uint8Array): void {
    const { high: th, low: tl } = TABLES
    let high = this.#high
    let low = this.#low
    const end = bytes.byteLength
    const words = end - (end % STEP)
    let i = 0
    for (; i < words; i += STEP) {
      low ^=
        at(bytes, i) | (at(bytes, i + 1) << 8) | (at(bytes, i + 2) << 16) | (at(bytes, i + 3) << 24)
      high ^=
        at(bytes, i + 4) |
        (at(bytes, i + 5) << 8) |
        (at(bytes, i + 6) << 16) |
        (at(bytes, i + 7) << 24)
      const a = 7 * 256 + (low & 0xff)
      const b = 6 * 256 + ((low >>> 8) & 0xff)
      const c = 5 * 256 + ((low >>> 16) & 0xff)
      const d = 4 * 256 + (low >>> 24)
      const e = 3 * 256 + (high & 0xff)
      const f = 2 * 256 + ((high >>> 8) & 0xff)
      const g = 256 + ((high >>> 16) & 0xff)
      const h = high >>> 24
      high =
        at(th, a) ^
        at(th, b) ^
        at(th, c) ^
        at(th, d) ^
        at(th, e) ^
        at(th, f) ^
        at(th, g) ^
        at(th, h)
      low =
        at(tl, a) ^
        at(tl, b) ^
        at(tl, c) ^
        at(tl, d) ^
        at(tl, e) ^
        at(tl, f) ^
        at(tl, g) ^
        at(tl, h)
    }
    for (; i < end; i += 1) {
      const index = (low ^ at(bytes, i)) & 0xff
      low = ((low >>> 8) | (high << 24)) ^ at(tl, index)
      high = (high >>> 8) ^ at(th, index)
    }
    this.#high = high
    this.#low = low
  }

  /** Eight bytes, big-endian. */
  digest(): Buffer {
    const bytes = Buffer.alloc(8)
    bytes.writeInt32BE(~this.#high, 0)
    bytes.writeInt32BE(~this.#low, 4)
    return bytes
  }
}

/** Indices here are always inside; the checker cannot know. */
function at(array: Uint8Array | Int32Array, index: number): number {
  return array[index] as number
}

/** Eight tables of 256 words, as two halves: what a byte does to the sum 0 to 7 bytes later. */
const TABLES = makeTables()

function makeTables(): { readonly high: Int32Array; readonly low: Int32Array } {
  const high = new Int32Array(STEP * 256)
  const low = new Int32Array(STEP * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let h = 0
    let l = byte
    for (let bit = 0; bit < 8; bit += 1) {
      const isOdd = l & 1
      l = (l >>> 1) | (h << 31)
      h = (h >>> 1) ^ (isOdd ? POLYNOMIAL_HIGH : 0)
    }
    high[byte] = h
    low[byte] = l
  }
  for (let i = 256; i < STEP * 256; i += 1) {
    const h = at(high, i - 256)
    const l = at(low, i - 256)
    low[i] = ((l >>> 8) | (h << 24)) ^ at(low, l & 0xff)
    high[i] = (h >>> 8) ^ at(high, l & 0xff)
  }
  return { high, low }
}
