/** Numbers, texts and bytes one after the other: numbers as LEB128, the rest with its length before it. */
import type { ByteText } from '../../erofs/attributes.ts'

export class ByteWriter {
  #bytes = Buffer.alloc(64 * 1024)
  #size = 0

  /** 0 to 2^53. */
  number(value: number): void {
    this.#reserve(8)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#size++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#size++] = rest
  }

  signed(value: number): void {
    this.number(value < 0 ? -2 * value - 1 : 2 * value)
  }

  text(text: ByteText): void {
    this.number(text.length)
    this.#reserve(text.length)
    this.#size += this.#bytes.write(text, this.#size, 'latin1')
  }

  bytes(bytes: Uint8Array): void {
    this.number(bytes.byteLength)
    this.#reserve(bytes.byteLength)
    this.#bytes.set(bytes, this.#size)
    this.#size += bytes.byteLength
  }

  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#size)
  }

  #reserve(size: number): void {
    if (this.#size + size <= this.#bytes.byteLength) return
    const larger = Buffer.alloc(Math.max(2 * this.#bytes.byteLength, this.#size + size))
    this.#bytes.copy(larger)
    this.#bytes = larger
  }
}

/** Throws RangeError for what cannot have been written. */
export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  number(): number {
    let value = 0
    for (let unit = 1; unit <= 2 ** 49; unit *= 0x80) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
    }
    throw new RangeError('a number that does not end')
  }

  signed(): number {
    const value = this.number()
    return value % 2 === 1 ? -(value + 1) / 2 : value / 2
  }

  /** A number of things that take a byte or more each. */
  count(): number {
    const count = this.number()
    if (count <= this.#bytes.byteLength - this.#at) return count
    throw new RangeError('more than there is')
  }

  text(): ByteText {
    const size = this.count()
    this.#at += size
    return this.#bytes.toString('latin1', this.#at - size, this.#at)
  }

  bytes(): Uint8Array {
    const size = this.count()
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }

  finish(): void {
    if (this.#at !== this.#bytes.byteLength) throw new RangeError('bytes behind the end')
  }
}
