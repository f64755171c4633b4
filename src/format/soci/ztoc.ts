/** Makes the ztoc of a layer in one pass over its stored bytes; memory is bounded by the layer's names and spans. */
import { beyondLimit } from '../../codec/failure.ts'
import { Hasher } from '../../oci/digest.ts'
import { AmbiguousTarError } from '../../tar/entry.ts'
import { TarParser } from '../../tar/reader.ts'
import type { Unpacked } from '../format.ts'
import { type LayerSource, openSource } from './layer-source.ts'
import { MAX_SPANS } from './spans.ts'
import { ZtocEntries } from './ztoc-entry.ts'
import { writeZtoc } from './ztoc-layout.ts'

export interface ZtocRequest {
  /** How the layer is stored, as its first bytes show. */
  readonly compression: 'gzip' | 'none'
  /** Bytes of tar in a span, about. */
  readonly spanSize: number
  /** Bytes of tar that are accepted; one more fails with `badSize`. */
  readonly maxOutput: number
  /** Whether the tar's sha512 is wanted, too. */
  readonly wants512: boolean
  /** Who made it, for people. */
  readonly tool: string
}

export interface ZtocOutcome {
  /** What is to be compared with the layer's diffID before the ztoc is believed. */
  readonly unpacked: Unpacked
  readonly ztoc:
    | {
        readonly kind: 'made'
        /** In order. */
        readonly parts: readonly Uint8Array[]
      }
    /** The layer must do without, and is fetched whole; what is said of its tar is true all the same. */
    | { readonly kind: 'refused'; readonly reason: string }
}

/** Zeros that end a tar; more of them are not counted. */
const END_OF_ARCHIVE = 1024

export class ZtocMaker {
  readonly #request: ZtocRequest
  readonly #source: LayerSource
  readonly #tar = new TarParser()
  #entries = new ZtocEntries()
  #refusal: string | undefined
  readonly #hasher = new Hasher()
  readonly #hasher512: Hasher | undefined
  /** Bytes of tar before what the parser tells next, and how many of them are of its end. */
  #at = 0
  #endBytes = 0

  constructor(request: ZtocRequest) {
    this.#request = request
    this.#hasher512 = request.wants512 ? new Hasher('sha512') : undefined
    this.#source = openSource(request.compression, request.spanSize, (bytes) => this.#read(bytes))
  }

  /** Bytes of tar so far. */
  get unpacked(): number {
    return this.#hasher.size
  }

  /**
   * The next bytes of the layer, whose memory may change afterwards. Throws `badManifest` with a reason for a broken one and
   * `badSize` for one beyond the limit.
   */
  push(bytes: Uint8Array): void {
    this.#source.push(bytes)
  }

  /** Ends the layer; throws as `push` does. */
  finish(): ZtocOutcome {
    const spans = this.#source.finish()
    this.#attempt(() => this.#tar.finish())
    if (this.#source.hasTooManySpans) {
      this.#refusal ??= `the layer has more than ${MAX_SPANS} spans`
    }
    const unpacked = {
      diffId: this.#hasher.digest(),
      diffId512: this.#hasher512?.digest(),
      uncompressedSize: this.#hasher.size,
    }
    if (this.#refusal !== undefined) {
      return { unpacked, ztoc: { kind: 'refused', reason: this.#refusal } }
    }
    const parts = writeZtoc({
      algorithm: this.#request.compression === 'gzip' ? 'gzip' : 'uncompressed',
      tool: this.#request.tool,
      compressedSize: this.#source.size,
      uncompressedSize: this.#at,
      entries: this.#entries.list,
      spanDigests: spans.digests,
      checkpoints: spans.checkpoints,
    })
    return { unpacked, ztoc: { kind: 'made', parts } }
  }

  #read(bytes: Uint8Array): void {
    this.#hasher.update(bytes)
    this.#hasher512?.update(bytes)
    if (this.#hasher.size > this.#request.maxOutput) {
      throw beyondLimit(this.#request.compression, this.#request.maxOutput)
    }
    if (this.#refusal === undefined) this.#attempt(() => this.#list(bytes))
  }

  /** A tar that readers disagree about has no ztoc, but its digest is wanted nevertheless. */
  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      if (!(error instanceof AmbiguousTarError)) throw error
      this.#refusal ??= error.message
      this.#entries = new ZtocEntries()
    }
  }

  #list(bytes: Uint8Array): void {
    for (const event of this.#tar.push(bytes)) {
      if (event.kind === 'entry') {
        this.#at += event.raw.byteLength
        this.#entries.add(event.entry, this.#at)
      } else if (event.kind === 'end') {
        const counted = Math.min(event.bytes.byteLength, END_OF_ARCHIVE - this.#endBytes)
        this.#endBytes += counted
        this.#at += counted
      } else this.#at += event.bytes.byteLength
    }
    this.#tar.keep()
  }
}
