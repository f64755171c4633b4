/** Bytes that grow, and numbers written into them; and reading them again, within bounds. */
import { damaged } from './failure.ts'

export class ByteSink {
  #bytes = new Uint8Array(256)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** A view of what was written; good until more is. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#size] = value
    this.#size += 1
  }

  /** A whole number from 0 to 2^53 - 1: seven bits a byte, lowest first, the highest bit set where more follow. */
  number(value: number): void {
    let rest = value
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) this.byte((rest % 0x80) | 0x80)
    this.byte(rest)
  }

  bytes(values: Uint8Array): void {
    this.#reserve(values.byteLength)
    this.#bytes.set(values, this.#size)
    this.#size += values.byteLength
  }

  /** A number of bytes, and they. */
  sized(values: Uint8Array): void {
    this.number(values.byteLength)
    this.bytes(values)
  }

  #reserve(more: number): void {
    if (this.#size + more <= this.#bytes.byteLength) return
    const bytes = new Uint8Array(2 * (this.#size + more))
    bytes.set(this.written)
    this.#bytes = bytes
  }
}

/** Reads what a ByteSink wrote. All methods throw `badManifest` where there is no such thing. */
export class ByteSource {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.left === 0
  }

  /** Bytes that follow. */
  get left(): number {
    return this.#bytes.byteLength - this.#at
  }

  byte(): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) throw damaged('they end too early')
    this.#at += 1
    return value
  }

  /** `most` is what makes sense. */
  number(most: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0
    for (let unit = 1; unit <= 2 ** 49; unit *= 0x80) {
      const byte = this.byte()
      value += (byte & 0x7f) * unit
      if (byte >= 0x80) continue
      if (value > most) break
      return value
    }
    throw damaged('a number is too large')
  }

  /** A view. */
  bytes(size: number): Uint8Array {
    if (size > this.left) throw damaged('they end too early')
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }

  sized(most: number = Number.MAX_SAFE_INTEGER): Uint8Array {
    return this.bytes(this.number(most))
  }
}
