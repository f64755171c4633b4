/** Prefix codes as zlib, GNU gzip and most of their kin make them: a heap, ties broken by depth, too long codes shortened. */

const MAX_BITS = 15

/** Memory for trees, used again: of any alphabet of deflate. */
export class TreeBuilder {
  readonly #frequencies = new Uint32Array(2 * 288 + 1)
  readonly #parents = new Uint16Array(2 * 288 + 1)
  readonly #depths = new Uint16Array(2 * 288 + 1)
  readonly #lengths = new Uint8Array(2 * 288 + 1)
  readonly #heap = new Uint16Array(2 * 288 + 1)
  #heapSize = 0
  /** Leaves and nodes by frequency, from `#heapMax` on. */
  #heapMax = 0

  /**
   * Lengths of codes, as many as up to the last symbol that has one: at least two symbols do. None is longer than `maxBits`.
   */
  build(counts: ArrayLike<number>, maxBits: number = MAX_BITS): Uint8Array {
    const size = counts.length
    const frequencies = this.#frequencies
    this.#heapSize = 0
    this.#heapMax = 2 * size + 1
    let last = -1
    for (let symbol = 0; symbol < size; symbol += 1) {
      const count = counts[symbol] as number
      frequencies[symbol] = count
      this.#lengths[symbol] = 0
      this.#depths[symbol] = 0
      if (count === 0) continue
      this.#heapSize += 1
      this.#heap[this.#heapSize] = symbol
      last = symbol
    }
    while (this.#heapSize < 2) {
      const symbol = last < 2 ? last + 1 : 0
      last = Math.max(last, symbol)
      this.#heapSize += 1
      this.#heap[this.#heapSize] = symbol
      frequencies[symbol] = 1
    }
    const root = this.#join(size)
    this.#measure(root, last, size, maxBits)
    return this.#lengths.slice(0, last + 1)
  }

  #join(size: number): number {
    const heap = this.#heap
    for (let place = this.#heapSize >> 1; place >= 1; place -= 1) this.#sink(place)
    let node = size
    do {
      const one = heap[1] as number
      heap[1] = heap[this.#heapSize] as number
      this.#heapSize -= 1
      this.#sink(1)
      const other = heap[1] as number
      this.#heapMax -= 1
      heap[this.#heapMax] = one
      this.#heapMax -= 1
      heap[this.#heapMax] = other
      this.#frequencies[node] =
        (this.#frequencies[one] as number) + (this.#frequencies[other] as number)
      this.#depths[node] = Math.max(this.#depths[one] as number, this.#depths[other] as number) + 1
      this.#parents[one] = node
      this.#parents[other] = node
      heap[1] = node
      node += 1
      this.#sink(1)
    } while (this.#heapSize >= 2)
    this.#heapMax -= 1
    heap[this.#heapMax] = heap[1] as number
    return heap[1] as number
  }

  #sink(place: number): void {
    const heap = this.#heap
    const sinking = heap[place] as number
    let at = place
    for (let child = 2 * at; child <= this.#heapSize; child = 2 * at) {
      if (
        child < this.#heapSize &&
        this.#isLess(heap[child + 1] as number, heap[child] as number)
      ) {
        child += 1
      }
      if (this.#isLess(sinking, heap[child] as number)) break
      heap[at] = heap[child] as number
      at = child
    }
    heap[at] = sinking
  }

  #isLess(one: number, other: number): boolean {
    const difference = (this.#frequencies[one] as number) - (this.#frequencies[other] as number)
    if (difference !== 0) return difference < 0
    return (this.#depths[one] as number) <= (this.#depths[other] as number)
  }

  #measure(root: number, last: number, size: number, maxBits: number): void {
    const heap = this.#heap
    const lengths = this.#lengths
    const counts = new Uint16Array(MAX_BITS + 1)
    const end = 2 * size + 1
    lengths[root] = 0
    let overflow = 0
    for (let place = this.#heapMax + 1; place < end; place += 1) {
      const node = heap[place] as number
      const length = (lengths[this.#parents[node] as number] as number) + 1
      if (length > maxBits) overflow += 1
      lengths[node] = Math.min(length, maxBits)
      if (node <= last)
        counts[Math.min(length, maxBits)] = (counts[Math.min(length, maxBits)] ?? 0) + 1
    }
    if (overflow === 0) return
    shorten(counts, overflow, maxBits)
    let place = end
    for (let length = maxBits; length > 0; length -= 1) {
      for (let left = counts[length] ?? 0; left > 0; ) {
        place -= 1
        const node = heap[place] as number
        if (node > last) continue
        lengths[node] = length
        left -= 1
      }
    }
  }
}

/** Moves leaves down until no code is too long. */
function shorten(counts: Uint16Array, overflow: number, maxBits: number): void {
  for (let left = overflow; left > 0; left -= 2) {
    let length = maxBits - 1
    while (counts[length] === 0) length -= 1
    counts[length] = (counts[length] ?? 0) - 1
    counts[length + 1] = (counts[length + 1] ?? 0) + 2
    counts[maxBits] = (counts[maxBits] ?? 0) - 1
  }
}
