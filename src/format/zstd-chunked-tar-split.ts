/** tar-split (vbatts/tar-split "tar/storage"): lines of JSON from which, with the files' content, the exact tar can be made again. */
import type { TarEntry } from '../tar/entry.ts'
import type { MetadataWriter } from './zstd-chunked-frames.ts'

/** Characters that are gathered before they become bytes. */
const PART_SIZE = 256 * 1024

/** Trailing bytes of a tar are recorded in pieces of at most this size. */
const MAX_SEGMENT = 1024 * 1024

export class TarSplitWriter {
  /** Bytes of the tar that can be made again from what was recorded. */
  tarSize = 0
  readonly #out: MetadataWriter
  #text = ''
  #position = 0
  /** Padding of the file before, which the next segment begins with. */
  #carried: Uint8Array = new Uint8Array(0)

  constructor(out: MetadataWriter) {
    this.#out = out
  }

  /** An entry's headers, as they are in the tar. */
  header(raw: Uint8Array): void {
    this.#segment(raw)
  }

  /** Every entry has a record, those without content a null one. */
  file(entry: TarEntry, crc: Uint8Array | undefined): void {
    if (crc !== undefined) this.tarSize += entry.size
    const size = crc === undefined ? '' : `,"size":${entry.size}`
    const payload = crc === undefined ? 'null' : `"${base64(crc)}"`
    this.#line(`"type":1,"name":${JSON.stringify(entry.name)}${size},"payload":${payload}`)
  }

  padding(bytes: Uint8Array): void {
    this.#carried = bytes.byteLength > 0 ? Buffer.concat([this.#carried, bytes]) : this.#carried
  }

  /** The zero blocks that end the tar (`blocks`: at most two) and what follows them. */
  end(blocks: Uint8Array, rest: Uint8Array): void {
    if (this.#carried.byteLength + blocks.byteLength > 0) this.#segment(blocks)
    for (let at = 0; at < rest.byteLength; at += MAX_SEGMENT) {
      this.#segment(rest.subarray(at, at + MAX_SEGMENT))
    }
    this.#flush()
  }

  #segment(bytes: Uint8Array): void {
    const whole = this.#carried.byteLength > 0 ? Buffer.concat([this.#carried, bytes]) : bytes
    this.#carried = new Uint8Array(0)
    this.tarSize += whole.byteLength
    this.#line(`"type":2,"payload":"${base64(whole)}"`)
  }

  #line(fields: string): void {
    this.#text += `{${fields},"position":${this.#position}}\n`
    this.#position += 1
    if (this.#text.length >= PART_SIZE) this.#flush()
  }

  #flush(): void {
    this.#out.add(Buffer.from(this.#text))
    this.#text = ''
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
