/**
 * Lengths of Huffman codes as Go's compress/flate and what derives from it choose them: by package-merge (Larmore and Hirschberg 1990), with
 * symbols sorted by frequency and then by value, and packages before symbols of the same frequency.
 */

const MAX_SYMBOLS = 288
const MAX_LIMIT = 15
const MAX_ITEMS = 2 * MAX_SYMBOLS
/** Symbols take so many bits below their frequency in what is sorted. */
const SYMBOL_BITS = 9

/** Memory that is used again: blocks may be small and many. */
export class PackageMerge {
  readonly #sorted = new Float64Array(MAX_SYMBOLS)
  readonly #weights = new Float64Array(MAX_SYMBOLS)
  #items = new Float64Array(MAX_ITEMS)
  #packages = new Float64Array(MAX_ITEMS)
  /** How many symbols there are among the first items of each level. */
  readonly #symbols = new Uint16Array((MAX_LIMIT + 1) * (MAX_ITEMS + 1))

  /** The length of each symbol's code, `limit` at most, 0 where its frequency is. At least one bit, be there only one symbol. */
  lengths(frequencies: ArrayLike<number>, limit: number): Uint8Array {
    const lengths = new Uint8Array(frequencies.length)
    const sorted = this.#sort(frequencies)
    const count = sorted.length
    if (count <= 2) {
      for (const key of sorted) lengths[symbolOf(key)] = 1
      return lengths
    }
    const levels = Math.min(limit, count - 1)
    this.#merge(count, levels)
    // Each level that a symbol is taken at lengthens its code; the most frequent symbols are taken the least often.
    let items = 2 * count - 2
    for (let level = levels - 1; level >= 0; level -= 1) {
      const symbols = this.#symbols[level * (MAX_ITEMS + 1) + items] ?? 0
      for (let place = 0; place < symbols; place += 1) {
        const symbol = symbolOf(sorted[place] ?? 0)
        lengths[symbol] = (lengths[symbol] ?? 0) + 1
      }
      items = 2 * (items - symbols)
    }
    return lengths
  }

  #sort(frequencies: ArrayLike<number>): Float64Array {
    let count = 0
    for (let symbol = 0; symbol < frequencies.length; symbol += 1) {
      const frequency = frequencies[symbol] ?? 0
      if (frequency === 0) continue
      this.#sorted[count] = frequency * 2 ** SYMBOL_BITS + symbol
      count += 1
    }
    return this.#sorted.subarray(0, count).sort()
  }

  /** Level by level: the symbols, and the packages of two items each of the level below. */
  #merge(count: number, levels: number): void {
    const weights = this.#weights
    for (let place = 0; place < count; place += 1) {
      weights[place] = Math.floor((this.#sorted[place] ?? 0) / 2 ** SYMBOL_BITS)
    }
    let below = 0
    for (let level = 0; level < levels; level += 1) {
      const packages = this.#packages
      for (let place = 0; place < below >> 1; place += 1) {
        packages[place] =
          (this.#items[2 * place] as number) + (this.#items[2 * place + 1] as number)
      }
      below = this.#mergeLevel(count, below >> 1, level * (MAX_ITEMS + 1))
    }
  }

  /** Returns how many items the level has. */
  #mergeLevel(count: number, packages: number, row: number): number {
    const total = Math.min(count + packages, 2 * count - 2)
    let symbol = 0
    let pack = 0
    for (let item = 0; item < total; item += 1) {
      const weight = symbol < count ? (this.#weights[symbol] as number) : Number.POSITIVE_INFINITY
      if (pack < packages && (this.#packages[pack] as number) <= weight) {
        this.#items[item] = this.#packages[pack] as number
        pack += 1
      } else {
        this.#items[item] = weight
        symbol += 1
      }
      this.#symbols[row + item + 1] = symbol
    }
    return total
  }
}

function symbolOf(key: number): number {
  return key % 2 ** SYMBOL_BITS
}
