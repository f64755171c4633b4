/** Corrections of one kind: of things that are counted and mostly as predicted, those that are not. */
import { ByteSink, ByteSource } from './byte-sink.ts'

export class GapWriter {
  readonly sink: ByteSink = new ByteSink()
  #last = 0

  /** The thing of this index, larger than those before, differs; how is written to `sink` next. */
  differ(index: number): void {
    this.sink.number(index - this.#last)
    this.#last = index + 1
  }
}

export class GapReader {
  readonly source: ByteSource
  /** The index of the next thing that differs; infinite where there is none. */
  next = 0
  #last = 0

  constructor(bytes: Uint8Array) {
    this.source = new ByteSource(bytes)
    this.advance()
  }

  /** Call it once `source` has been read about `next`. */
  advance(): void {
    if (this.source.isAtEnd) this.next = Number.POSITIVE_INFINITY
    else {
      this.next = this.#last + this.source.number()
      this.#last = this.next + 1
    }
  }
}
