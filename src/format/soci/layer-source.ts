/** A layer as it is stored: gives its tar on the way, and finds its spans. */
import { Inflater } from '../../codec/inflate/inflater.ts'
import { GzipSpans, type SpanFacts, TarSpans } from './spans.ts'

export interface LayerSource {
  /** Bytes so far. */
  readonly size: number
  readonly hasTooManySpans: boolean
  /** The next bytes, whose memory may change afterwards. Throws what Inflater throws. */
  push(bytes: Uint8Array): void
  finish(): SpanFacts
}

/** `onTar` gets the tar in pieces that are good until it returns. */
export function openSource(
  compression: 'gzip' | 'none',
  spanSize: number,
  onTar: (bytes: Uint8Array) => void,
): LayerSource {
  return compression === 'gzip' ? new GzipSource(spanSize, onTar) : new TarSource(spanSize, onTar)
}

class GzipSource implements LayerSource {
  size = 0
  readonly #spans: GzipSpans
  readonly #inflater: Inflater
  readonly #onTar: (bytes: Uint8Array) => void

  constructor(spanSize: number, onTar: (bytes: Uint8Array) => void) {
    this.#spans = new GzipSpans(spanSize)
    this.#inflater = new Inflater({
      onBlock: (block) => this.#spans.block(block, () => this.#inflater.window()),
    })
    this.#onTar = onTar
  }

  get hasTooManySpans(): boolean {
    return this.#spans.areTooMany
  }

  push(bytes: Uint8Array): void {
    this.size += bytes.byteLength
    this.#spans.push(bytes)
    this.#inflater.push(bytes)
    this.#drain()
    this.#spans.settle(this.#inflater.consumed)
  }

  finish(): SpanFacts {
    this.#inflater.finish()
    this.#drain()
    return this.#spans.finish()
  }

  #drain(): void {
    for (let tar = this.#inflater.read(); tar !== undefined; tar = this.#inflater.read()) {
      this.#onTar(tar)
    }
  }
}

class TarSource implements LayerSource {
  size = 0
  readonly #spans: TarSpans
  readonly #onTar: (bytes: Uint8Array) => void

  constructor(spanSize: number, onTar: (bytes: Uint8Array) => void) {
    this.#spans = new TarSpans(spanSize)
    this.#onTar = onTar
  }

  get hasTooManySpans(): boolean {
    return this.#spans.areTooMany
  }

  push(bytes: Uint8Array): void {
    this.size += bytes.byteLength
    this.#spans.push(bytes)
    this.#onTar(bytes)
  }

  finish(): SpanFacts {
    return this.#spans.finish()
  }
}
