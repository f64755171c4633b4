/**
 * Spans of a layer: stretches of which each can be unpacked alone. Of gzip they begin at blocks (upstream's zran with Z_BLOCK),
 * of a plain tar they are slices. Each has the digest of its stored bytes.
 */
import type { BlockStart } from '../../codec/inflate/inflater.ts'
import { type Digest, Hasher } from '../../oci/digest.ts'
import { writeTarInfo } from './ztoc-layout.ts'

/** What a ztoc says of spans. */
export interface SpanFacts {
  readonly digests: readonly Digest[]
  readonly checkpoints: readonly Uint8Array[]
}

/** A layer with more goes without: 256 MiB of windows, for 32 GiB of tar in spans of 4 MiB. */
export const MAX_SPANS = 8192

/** int32 count, int64 span size; then of each checkpoint int64 in, int64 out, uint8 bits and its window; little-endian. */
const HEADER_SIZE = 12
const CHECKPOINT_SIZE = 17

export class GzipSpans {
  readonly #spanSize: number
  /** For each checkpoint its numbers, then its window. */
  readonly #checkpoints: Uint8Array[] = []
  readonly #digests: Digest[] = []
  /** Of the span that goes on; bytes before the first span are in none. */
  #hasher: Hasher | undefined
  /** Bytes of which is not known yet to which span they belong, and where in the layer they begin. */
  #held: Uint8Array[] = []
  #heldAt = 0
  #lastOut = 0

  constructor(spanSize: number) {
    this.#spanSize = spanSize
  }

  /** More of the layer's bytes; they must not change before `settle`. */
  push(bytes: Uint8Array): void {
    this.#held.push(bytes)
  }

  /** True when there are more than MAX_SPANS; then they are not kept. */
  get areTooMany(): boolean {
    return this.#digests.length > MAX_SPANS
  }

  /** A block begins, and so may a span. */
  block({ in: at, out, bits, previousByte }: BlockStart, window: () => Uint8Array): void {
    const isFirst = this.#hasher === undefined
    if (!isFirst && out - this.#lastOut <= this.#spanSize) return
    if (this.areTooMany) return
    this.#settle(at)
    if (this.#hasher !== undefined) this.#digests.push(this.#hasher.digest())
    this.#hasher = new Hasher()
    // The byte that the block before ends in is in both spans.
    if (bits > 0) this.#hasher.update(Uint8Array.of(previousByte))
    this.#lastOut = out
    const numbers = Buffer.alloc(CHECKPOINT_SIZE)
    numbers.writeBigInt64LE(BigInt(at), 0)
    numbers.writeBigInt64LE(BigInt(out), 8)
    numbers.writeUInt8(bits, 16)
    this.#checkpoints.push(numbers, window())
  }

  /** Says that no block begins before this byte of the layer any more; keeps a copy of what is behind it. */
  settle(at: number): void {
    this.#settle(at)
    this.#held = this.#held.map((bytes) => new Uint8Array(bytes))
  }

  finish(): SpanFacts {
    for (const bytes of this.#held) this.#hasher?.update(bytes)
    if (this.#hasher !== undefined) this.#digests.push(this.#hasher.digest())
    const header = Buffer.alloc(HEADER_SIZE)
    header.writeInt32LE(this.#digests.length, 0)
    header.writeBigInt64LE(BigInt(this.#spanSize), 4)
    return { digests: this.#digests, checkpoints: [header, ...this.#checkpoints] }
  }

  #settle(at: number): void {
    for (let [first] = this.#held; first !== undefined && this.#heldAt < at; [first] = this.#held) {
      const part = first.subarray(0, at - this.#heldAt)
      this.#hasher?.update(part)
      this.#heldAt += part.byteLength
      if (part.byteLength === first.byteLength) this.#held.shift()
      else this.#held[0] = first.subarray(part.byteLength)
    }
  }
}

export class TarSpans {
  readonly #spanSize: number
  readonly #digests: Digest[] = []
  #hasher = new Hasher()
  #size = 0

  constructor(spanSize: number) {
    this.#spanSize = spanSize
  }

  get areTooMany(): boolean {
    return this.#digests.length > MAX_SPANS
  }

  push(bytes: Uint8Array): void {
    this.#size += bytes.byteLength
    for (let rest = bytes; rest.byteLength > 0; ) {
      if (this.#hasher.size === this.#spanSize) this.#cut()
      const part = rest.subarray(0, this.#spanSize - this.#hasher.size)
      this.#hasher.update(part)
      rest = rest.subarray(part.byteLength)
    }
  }

  finish(): SpanFacts {
    this.#cut()
    return {
      digests: this.#digests,
      checkpoints: writeTarInfo(this.#spanSize, this.#size),
    }
  }

  #cut(): void {
    if (!this.areTooMany) this.#digests.push(this.#hasher.digest())
    this.#hasher = new Hasher()
  }
}
