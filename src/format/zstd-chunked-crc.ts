/** CRC-64/ISO as tar-split wants it (Go's hash/crc64): polynomial 0xD800000000000000, reflected, all ones before and after. */
import { crc64 } from './zstd-chunked-loops.ts'

const ONES = 0xffffffff_ffffffffn

export class Crc64 {
  #sum = ONES

  update(bytes: Uint8Array): void {
    this.#sum = crc64(bytes, this.#sum)
  }

  /** Eight bytes, big-endian. */
  digest(): Buffer {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(this.#sum ^ ONES)
    return bytes
  }
}
