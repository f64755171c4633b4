/** Lengths of prefix codes as klauspost/compress 1.20.4 finds them: Huffman's tree out of two queues, and package-merge only where that is too deep. */
import type { CodeLengths } from './joined-header.ts'

/** Symbols take so many bits below their frequency in what is sorted. */
const SYMBOL_BITS = 9

/** What `fallback` is asked for lengths that keep to the limit. */
export function twoQueueLengths(fallback: CodeLengths): CodeLengths {
  return (frequencies, limit) => {
    const ranked = rank(frequencies)
    if (ranked.length <= 2) return fallback(frequencies, limit)
    const depths = leafDepths(ranked.map((key) => Math.floor(key / 2 ** SYMBOL_BITS)))
    if ((depths[0] ?? 0) > limit) return fallback(frequencies, limit)
    const lengths = new Uint8Array(frequencies.length)
    for (const [place, key] of ranked.entries()) {
      lengths[key % 2 ** SYMBOL_BITS] = depths[place] ?? 0
    }
    return lengths
  }
}

/** Symbols that occur, the rarest first, equals in their own order; each below how often it does. */
function rank(frequencies: ArrayLike<number>): Float64Array {
  const keys: number[] = []
  for (let symbol = 0; symbol < frequencies.length; symbol += 1) {
    const frequency = frequencies[symbol] ?? 0
    if (frequency > 0) keys.push(frequency * 2 ** SYMBOL_BITS + symbol)
  }
  return Float64Array.from(keys).sort()
}

/**
 * How deep each leaf of the tree lies, deepest first. What weighs least, of leaves and of nodes made before, makes the next node;
 * a leaf goes before a node that weighs as much. The lengths that come of it go to the rarest symbols first.
 */
function leafDepths(weights: Float64Array): number[] {
  const count = weights.length
  const sums = new Float64Array(count - 1)
  const parents = new Uint16Array(2 * count - 1)
  let leaf = 0
  let node = 0
  for (let made = 0; made < count - 1; made += 1) {
    for (let half = 0; half < 2; half += 1) {
      const isLeaf = leaf < count && (node >= made || (weights[leaf] ?? 0) <= (sums[node] ?? 0))
      const weight = isLeaf ? weights[leaf] : sums[node]
      parents[isLeaf ? leaf : count + node] = count + made
      sums[made] = (sums[made] ?? 0) + (weight ?? 0)
      if (isLeaf) leaf += 1
      else node += 1
    }
  }
  const depths = new Uint16Array(2 * count - 1)
  for (let at = 2 * count - 3; at >= 0; at -= 1) depths[at] = (depths[parents[at] ?? 0] ?? 0) + 1
  return [...depths.subarray(0, count)].sort((a, b) => b - a)
}
