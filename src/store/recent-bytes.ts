/** The youngest bytes of a growing file, so that many readers close behind the writer share them instead of reading each. */

/** Enough for readers that keep up; who is further behind reads the file. */
const KEPT = 2 * 1024 * 1024

export class RecentBytes {
  readonly #chunks: { readonly start: number; readonly bytes: Uint8Array }[] = []
  #size = 0

  add(start: number, bytes: Uint8Array): void {
    if (bytes.byteLength === 0) return
    this.#chunks.push({ start, bytes })
    this.#size += bytes.byteLength
    while (this.#size > KEPT) this.#size -= this.#chunks.shift()?.bytes.byteLength ?? 0
  }

  /** Bytes from `start` on, to `end` at most; `undefined` when they are only in the file. */
  find(start: number, end: number): Uint8Array | undefined {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#chunks[middle]?.start ?? 0) <= start) low = middle + 1
      else high = middle
    }
    const chunk = this.#chunks[low - 1]
    if (chunk === undefined) return undefined
    const found = chunk.bytes.subarray(start - chunk.start, end - chunk.start)
    return found.byteLength === 0 ? undefined : found
  }

  clear(): void {
    this.#chunks.length = 0
    this.#size = 0
  }
}
