/**
 * How klauspost/compress, and Go 1.27 after it, turn windows into blocks: the codes of the first one go on for the next, in the
 * same block, while that seems cheaper than new ones.
 */
import { type CodeLengths, joinedHeader } from './joined-header.ts'
import type { BlockPlan, Chunk } from './model.ts'
import {
  codeBits,
  estimatedBits,
  extraBits,
  fixedBits,
  hasCodes,
  storedBits,
} from './symbol-cost.ts'
import { DISTANCE_COUNT, END_OF_BLOCK, LITERAL_COUNT } from './symbols.ts'

const LIMIT = 15
/** Bits of a block's header before that of its codes. */
const BLOCK_HEADER = 3
/** New codes count a little more than they cost: that shifted by this. */
const PENALTY = 7
/** Fixed codes are thought of below so many tokens. */
const FEW_TOKENS = 250
/** A header that is not known yet, in bits. */
const TYPICAL_HEADER = 70 * 8
/** Windows above this, of bytes as even as noise, are stored without another thought. */
const NOISE_SIZE = 1024

export interface KeptCodesOptions {
  readonly codeLengths: CodeLengths
  /** Codes that may be kept are written with all 286 and 30 lengths, and their block's end is not counted for the next window. */
  readonly isWhole: boolean
}

/** The one distance of a block that has none. */
const NO_DISTANCES = Uint8Array.of(1)

export class KeptCodes {
  readonly #options: KeptCodesOptions
  readonly #literals = new Uint8Array(LITERAL_COUNT)
  readonly #distances = new Uint8Array(DISTANCE_COUNT)
  /** Bits of the open block's header, 0 if none is open. */
  #header = 0
  /** Whether the open block's codes were made for literals alone. */
  #isLiteral = false
  readonly #frequencies = new Uint32Array(LITERAL_COUNT)

  constructor(options: KeptCodesOptions) {
    this.#options = options
  }

  /** No block is open. */
  close(): void {
    this.#header = 0
  }

  /** What is written really; the next chunk may follow in its block unless this one ends its segment. */
  adopt(plan: BlockPlan, chunk: Chunk): void {
    if (plan.kind === 'dynamic') {
      this.#literals.fill(0).set(plan.header.literals)
      this.#distances.fill(0).set(plan.header.distances)
      this.#header = BLOCK_HEADER + plan.header.bitCount
      this.#isLiteral = plan.isLiteral || !hasMatches(chunk)
    } else if (plan.kind !== 'continued') {
      this.#header = 0
    }
    if (chunk.ending !== 'chunk') this.#header = 0
  }

  /** A window whose matches are left out, since they are few. */
  planLiterals(chunk: Chunk): BlockPlan {
    const { size } = chunk
    const frequencies = this.#count(chunk)
    if (size > NOISE_SIZE && isNoise(frequencies, size)) return STORED
    frequencies[END_OF_BLOCK] = 1
    const own = frequencies.subarray(0, END_OF_BLOCK + 1)
    const lengths = this.#options.codeLengths(own, LIMIT)
    const plain = codeBits(own, lengths) + (this.#header === 0 ? TYPICAL_HEADER : this.#header)
    const bits = plain + (plain >> PENALTY)
    if (storedBits(size) <= bits) return STORED
    if (this.#header > 0) {
      const bytes = frequencies.subarray(0, END_OF_BLOCK)
      const isKept = hasCodes(bytes, this.#literals) && codeBits(bytes, this.#literals) <= bits
      if (isKept) return { kind: 'continued', isLiteral: true }
    }
    const header = joinedHeader(lengths, NO_DISTANCES, this.#options.codeLengths)
    return { kind: 'dynamic', isFinal: false, isLiteral: true, header }
  }

  /** A window with its matches, of which there are some. */
  planTokens(chunk: Chunk): BlockPlan {
    const isEnd = chunk.ending !== 'chunk'
    const literals = this.#frequencies
    literals.set(chunk.literals)
    literals[END_OF_BLOCK] = this.#options.isWhole && !isEnd ? 0 : 1
    const count = chunk.tokens.length + (isEnd ? 1 : 0)
    if (this.#header > 0 && !this.#isLiteral && this.#has(chunk)) {
      const extra = extraBits(literals, chunk.distances)
      const kept =
        codeBits(literals, this.#literals) + codeBits(chunk.distances, this.#distances) + extra
      const least = this.#header + estimatedBits(count, literals, chunk.distances)
      const fresh = least + (this.#literals[END_OF_BLOCK] ?? 0) + (least >> PENALTY)
      const size = Math.min(fresh, kept)
      const fixed = fixedBits(literals, chunk.distances) + 7
      const stored = storedBits(chunk.size)
      if (stored <= size) return STORED
      if (count < FEW_TOKENS && fixed < size) return FIXED
      if (kept <= fresh) return { kind: 'continued', isLiteral: false }
    }
    return this.#planFresh(chunk, count, isEnd)
  }

  #planFresh(chunk: Chunk, count: number, isEnd: boolean): BlockPlan {
    const { codeLengths, isWhole } = this.#options
    const literals = this.#frequencies
    const { distances } = chunk
    literals[END_OF_BLOCK] = 1
    const literalLengths = codeLengths(literals, LIMIT)
    const distanceLengths = codeLengths(distances, LIMIT)
    const isFull = isWhole && !isEnd
    const header = joinedHeader(
      isFull ? literalLengths : trimmed(literalLengths),
      isFull ? distanceLengths : trimmed(distanceLengths),
      codeLengths,
    )
    const dynamic =
      BLOCK_HEADER +
      header.bitCount +
      codeBits(literals, literalLengths) +
      codeBits(distances, distanceLengths) +
      extraBits(literals, distances)
    const fixed = fixedBits(literals, distances)
    const isFixed = count < FEW_TOKENS && fixed <= dynamic
    if (storedBits(chunk.size) <= (isFixed ? fixed : dynamic)) return STORED
    return isFixed ? FIXED : { kind: 'dynamic', isFinal: false, isLiteral: false, header }
  }

  #has({ literals, distances }: Chunk): boolean {
    return hasCodes(literals, this.#literals) && hasCodes(distances, this.#distances)
  }

  #count({ bytes }: Chunk): Uint32Array {
    const frequencies = this.#frequencies.fill(0)
    if (bytes === undefined) return frequencies
    for (let at = 0; at < bytes.length; at += 1) {
      const byte = bytes[at] as number
      frequencies[byte] = (frequencies[byte] as number) + 1
    }
    return frequencies
  }
}

const STORED: BlockPlan = { kind: 'stored', isFinal: false }
const FIXED: BlockPlan = { kind: 'fixed', isFinal: false, isLiteral: false }

export function hasMatches({ distances }: Chunk): boolean {
  return distances.some((count) => count > 0)
}

/** Whether bytes are spread so evenly that codes cannot gain anything. */
function isNoise(frequencies: Uint32Array, size: number): boolean {
  const mean = size / 256
  const most = 2 * size
  let sum = 0
  for (let byte = 0; byte < 256; byte += 1) {
    const difference = (frequencies[byte] ?? 0) - mean
    sum += difference * difference
    if (sum > most) break
  }
  return sum < most
}

/** Without the zeros at the end. */
function trimmed(lengths: Uint8Array): Uint8Array {
  let size = lengths.length
  while (size > 1 && lengths[size - 1] === 0) size -= 1
  return lengths.subarray(0, size)
}
