/** The header of a gzip member (RFC 1952, 2.3), read as it comes: its fields may be of any length, and none is kept. */
import { crc32 } from 'node:zlib'

const FIXED_SIZE = 10
const MAGIC = [0x1f, 0x8b, 8]
const FLAGS_OFFSET = 3
const RESERVED_FLAGS = 0xe0

/** Parts in their order, each but the first with the flag that announces it. */
const PARTS = [
  { name: 'fixed', flag: 0 },
  { name: 'extra-size', flag: 4 },
  { name: 'extra', flag: 4 },
  { name: 'text', flag: 8 },
  { name: 'text', flag: 16 },
  { name: 'check', flag: 2 },
] as const

export class GzipHeader {
  /** Index in PARTS. */
  #part = 0
  /** Bytes of the part so far. */
  #size = 0
  #flags = 0
  /** A number of two bytes, as far as it is there: size of the extra field, or check sum. */
  #number = 0
  #crc = 0

  get isBegun(): boolean {
    return this.#part > 0 || this.#size > 0
  }

  get isComplete(): boolean {
    return this.#part === PARTS.length
  }

  /** Takes what belongs to the header from the front of `bytes`. Returns how many that are, or what is wrong with them. */
  take(bytes: Uint8Array): number | string {
    let at = 0
    for (let part = PARTS[this.#part]; part !== undefined; part = PARTS[this.#part]) {
      const rest = bytes.subarray(at)
      if (rest.byteLength === 0) break
      const taken = this.#take(part.name, rest)
      if (typeof taken === 'string') return taken
      if (part.name !== 'check') this.#crc = crc32(rest.subarray(0, taken), this.#crc)
      at += taken
    }
    return at
  }

  #take(part: (typeof PARTS)[number]['name'], rest: Uint8Array): number | string {
    if (part === 'fixed') return this.#takeFixed(rest[0] ?? 0)
    if (part === 'text') {
      const zero = rest.indexOf(0)
      if (zero >= 0) this.#advance()
      return zero < 0 ? rest.byteLength : zero + 1
    }
    if (part === 'extra') {
      const taken = Math.min(rest.byteLength, this.#number - this.#size)
      this.#size += taken
      if (this.#size < this.#number) return taken
      this.#number = 0
      this.#advance()
      return taken
    }
    this.#number |= (rest[0] ?? 0) << (8 * this.#size)
    this.#size += 1
    if (this.#size < 2) return 1
    if (part === 'check' && this.#number !== (this.#crc & 0xffff)) return 'header crc mismatch'
    this.#advance()
    return 1
  }

  #takeFixed(byte: number): number | string {
    if (this.#size < MAGIC.length && byte !== MAGIC[this.#size]) return 'incorrect header check'
    if (this.#size === FLAGS_OFFSET) {
      if ((byte & RESERVED_FLAGS) !== 0) return 'unknown header flags set'
      this.#flags = byte
    }
    this.#size += 1
    if (this.#size === FIXED_SIZE) this.#advance()
    return 1
  }

  /** To the next part that is there. */
  #advance(): void {
    this.#size = 0
    for (;;) {
      this.#part += 1
      const part = PARTS[this.#part]
      if (part === undefined || (part.flag & this.#flags) !== 0) return
    }
  }
}
