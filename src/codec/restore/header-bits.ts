/** The header of a dynamic block (RFC 1951, 3.2.7), bit by bit, and the codes that its lengths are written in. */

/** More than any header has: 14 bits, 19 lengths of 3, 318 of 14. */
const MAX_BYTES = 1024
/** Codes of lengths are at most so long. */
export const MAX_HEADER_CODE = 7

export class HeaderBits {
  readonly #bytes = new Uint8Array(MAX_BYTES)
  #count = 0

  put(value: number, count: number): void {
    for (let bit = 0; bit < count; bit += 1, this.#count += 1) {
      const at = this.#count >> 3
      this.#bytes[at] = (this.#bytes[at] ?? 0) | (((value >> bit) & 1) << (this.#count & 7))
    }
  }

  finish(): { readonly bits: Uint8Array; readonly bitCount: number } {
    return { bits: this.#bytes.slice(0, (this.#count + 7) >> 3), bitCount: this.#count }
  }
}

/** Codes by their lengths (RFC 1951, 3.2.2), first bit lowest. */
export function headerCodes(lengths: Uint8Array): Uint16Array {
  const codes = new Uint16Array(lengths.length)
  let code = 0
  for (let length = 1; length <= MAX_HEADER_CODE; length += 1, code <<= 1) {
    for (let symbol = 0; symbol < lengths.length; symbol += 1) {
      if (lengths[symbol] !== length) continue
      codes[symbol] = reversed(code, length)
      code += 1
    }
  }
  return codes
}

function reversed(code: number, length: number): number {
  let result = 0
  for (let bit = 0; bit < length; bit += 1) {
    result = (result << 1) | ((code >> bit) & 1)
  }
  return result
}
