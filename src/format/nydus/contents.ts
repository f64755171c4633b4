/** What the bytes of files are, by number: chunks of one blob, in order. */
import { NumberList } from '../../lib/number-list.ts'

export class Contents {
  readonly #blobs = NumberList.words()
  /** Where in `#chunks` each ends, and the next begins. */
  readonly #ends = NumberList.words()
  readonly #chunks = NumberList.words()

  /** The number of a content without chunks; `blob` is the place of theirs in a list that the caller has. */
  open(blob: number): number {
    this.#blobs.push(blob)
    this.#ends.push(this.#chunks.length)
    return this.#ends.length - 1
  }

  /** The next chunk of the one that was opened last, by its number in the blob. */
  push(chunk: number): void {
    this.#chunks.push(chunk)
    this.#ends.set(this.#ends.length - 1, this.#chunks.length)
  }

  blobOf(content: number): number {
    return this.#blobs.at(content)
  }

  /** How many chunks. */
  countOf(content: number): number {
    return this.#ends.at(content) - this.#startOf(content)
  }

  *chunksOf(content: number): Generator<number> {
    const end = this.#ends.at(content)
    for (let i = this.#startOf(content); i < end; i += 1) yield this.#chunks.at(i)
  }

  #startOf(content: number): number {
    return content === 0 ? 0 : this.#ends.at(content - 1)
  }
}
