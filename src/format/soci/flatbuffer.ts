/**
 * Writes FlatBuffers from the end to the front, byte for byte as Google's own builders do ("FlatBuffers internals"): equal calls
 * give equal bytes. Large vectors become parts of their own and are never copied. An offset counts from the end.
 */

const PART_SIZE = 256 * 1024

export class FlatbufferWriter {
  /** Parts that are full, the last one first. */
  readonly #parts: Uint8Array[] = []
  /** The part that is filled, from its end. */
  #part = Buffer.allocUnsafeSlow(PART_SIZE)
  #free = PART_SIZE
  /** Bytes so far. */
  #size = 0
  #largestAlign = 1
  /** Where each layout of a table is, by its numbers. */
  readonly #layouts = new Map<string, number>()
  /** Of the table being written: where its fields are, by their number, and where it ends. */
  #fields: number[] = []
  #tableEnd = 0

  /** A string of these bytes, as Latin-1. */
  latin1(text: string): number {
    this.#align(4, text.length + 1)
    this.#reserve(text.length + 1)
    this.#part[this.#free + text.length] = 0
    this.#part.write(text, this.#free, 'latin1')
    return this.#uint32(text.length)
  }

  string(text: string): number {
    const length = Buffer.byteLength(text)
    this.#align(4, length + 1)
    this.#reserve(length + 1)
    this.#part[this.#free + length] = 0
    this.#part.write(text, this.#free, length)
    return this.#uint32(length)
  }

  /** A vector of bytes, which stay where they are. */
  bytes(parts: readonly Uint8Array[]): number {
    let length = 0
    for (const part of parts) length += part.byteLength
    this.#align(4, length)
    this.#endPart()
    for (const part of parts.toReversed()) this.#parts.push(part)
    this.#size += length
    return this.#uint32(length)
  }

  /** A vector of what is at these offsets. */
  vector(offsets: readonly number[]): number {
    this.#align(4, 4 * offsets.length)
    for (let i = offsets.length - 1; i >= 0; i -= 1) this.#reference(offsets[i] ?? 0)
    return this.#uint32(offsets.length)
  }

  /** Begins a table; its fields follow. */
  begin(): void {
    this.#fields = []
    this.#tableEnd = this.#size
  }

  offset(field: number, offset: number): void {
    this.#align(4, 0)
    this.#fields[field] = this.#reference(offset)
  }

  /** Left out where it is 0, which is what readers take then. */
  int64(field: number, value: number): void {
    if (value === 0) return
    this.#align(8, 0)
    this.#reserve(8)
    this.#part.writeUInt32LE(value >>> 0, this.#free)
    this.#part.writeInt32LE(Math.floor(value / 2 ** 32), this.#free + 4)
    this.#fields[field] = this.#size
  }

  int32(field: number, value: number): void {
    if (value === 0) return
    this.#align(4, 0)
    this.#fields[field] = this.#uint32(value)
  }

  /** Left out where it is the default. */
  int8(field: number, value: number, byDefault: number): void {
    if (value === byDefault) return
    this.#reserve(1)
    this.#part.writeInt8(value, this.#free)
    this.#fields[field] = this.#size
  }

  /** Ends the table and returns its offset. */
  end(): number {
    this.#align(4, 0)
    const at = this.#size + 4
    const fields = Array.from(this.#fields, (field) => (field === undefined ? 0 : at - field))
    const layout = fields.join()
    const known = this.#layouts.get(layout)
    const layoutSize = 4 + 2 * fields.length
    this.#uint32(known === undefined ? layoutSize : known - at)
    if (known !== undefined) return at
    this.#reserve(layoutSize)
    for (const [i, value] of [layoutSize, at - this.#tableEnd, ...fields].entries()) {
      this.#part.writeUInt16LE(value, this.#free + 2 * i)
    }
    this.#layouts.set(layout, this.#size)
    return at
  }

  /** Ends the whole with the table at this offset as its root. Returns it from its front, in parts. */
  finish(root: number): readonly Uint8Array[] {
    this.#align(this.#largestAlign, 4)
    this.#reference(root)
    this.#endPart()
    return this.#parts.reverse()
  }

  /** How far it is from here to an offset. */
  #reference(offset: number): number {
    return this.#uint32(this.#size + 4 - offset)
  }

  #uint32(value: number): number {
    this.#reserve(4)
    this.#part.writeUInt32LE(value >>> 0, this.#free)
    return this.#size
  }

  /** Zeros, so that what follows `additional` more bytes is aligned. */
  #align(align: number, additional: number): void {
    this.#largestAlign = Math.max(this.#largestAlign, align)
    const padding = -(this.#size + additional) & (align - 1)
    this.#reserve(padding)
    this.#part.fill(0, this.#free, this.#free + padding)
  }

  #reserve(size: number): void {
    if (size > this.#free) {
      this.#endPart()
      if (size > this.#free) {
        this.#free = Math.max(PART_SIZE, size)
        this.#part = Buffer.allocUnsafeSlow(this.#free)
      }
    }
    this.#free -= size
    this.#size += size
  }

  /** What is filled becomes a part; the room before it is used on. */
  #endPart(): void {
    const filled = this.#part.subarray(this.#free)
    if (filled.byteLength > 0) this.#parts.push(filled)
    this.#part = this.#part.subarray(0, this.#free)
  }
}
