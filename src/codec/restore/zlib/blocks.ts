/** How zlib and its kin make blocks of tokens: so many to a block, and of three kinds the shortest. */
import { FIXED_CODES } from '../bit-writer.ts'
import type { BlockPlan, BlockStyle, Chunk, EmptyBlock } from '../model.ts'
import { DISTANCE_EXTRA, END_OF_BLOCK, LENGTH_EXTRA, LITERAL_COUNT } from '../symbols.ts'
import type { BlockEnds } from './block-ends.ts'
import { zlibHeader } from './header.ts'
import { TreeBuilder } from './trees.ts'

/** Bits of a block's type, and bytes of a stored one's sizes. */
const TYPE_BITS = 3
const STORED_BYTES = 4

export class ZlibBlocks implements BlockStyle {
  readonly rule: BlockEnds['rule']
  readonly hasLiteralChunks = false
  readonly #ends: BlockEnds
  readonly #trees = new TreeBuilder()
  readonly #counts = new Uint32Array(LITERAL_COUNT)

  constructor(ends: BlockEnds) {
    this.rule = ends.rule
    this.#ends = ends
  }

  begin(): void {}

  plan(chunk: Chunk): BlockPlan {
    if (chunk.size === 0) return { kind: 'none' }
    const isFinal = chunk.ending === 'member' && !this.#isFull(chunk)
    this.#counts.set(chunk.literals)
    this.#counts[END_OF_BLOCK] = 1
    const literals = this.#trees.build(this.#counts)
    const distances = this.#trees.build(chunk.distances)
    const header = zlibHeader(literals, distances, this.#trees)
    const fixed = bytesOf(this.#bits(chunk, FIXED_CODES.literals, FIXED_CODES.distances))
    const dynamic = bytesOf(this.#bits(chunk, literals, distances) + header.bitCount)
    const { bytes } = chunk
    if (bytes !== undefined && chunk.size + STORED_BYTES <= Math.min(fixed, dynamic)) {
      return { kind: 'stored', isFinal }
    }
    if (fixed <= dynamic) return { kind: 'fixed', isFinal, isLiteral: false }
    return { kind: 'dynamic', isFinal, isLiteral: false, header }
  }

  adopt(): void {}

  tail(chunk: Chunk, bitPhase: number): readonly EmptyBlock[] {
    if (chunk.ending !== 'member') return this.#ends.flush(bitPhase)
    const isClosed = chunk.size > 0 && !this.#isFull(chunk)
    return isClosed ? [] : [{ type: 'fixed', isFinal: true }]
  }

  /** Whether the block ended with its last token, before the encoder saw that none follows: a last literal is held back until then. */
  #isFull(chunk: Chunk): boolean {
    const { rule } = this
    const count = chunk.tokens.length
    if ((chunk.tokens.at(-1) ?? 0) < 256) return false
    if (count === rule.most) return true
    return rule.test !== undefined && count % rule.test.every === 0 && rule.test.ends(chunk)
  }

  #bits({ distances }: Chunk, literalLengths: Uint8Array, distanceLengths: Uint8Array): number {
    let bits = 0
    for (let symbol = 0; symbol < LITERAL_COUNT; symbol += 1) {
      const extra = symbol > END_OF_BLOCK ? (LENGTH_EXTRA[symbol - 257] ?? 0) : 0
      bits += (this.#counts[symbol] ?? 0) * ((literalLengths[symbol] ?? 0) + extra)
    }
    for (let symbol = 0; symbol < distances.length; symbol += 1) {
      const length = (distanceLengths[symbol] ?? 0) + (DISTANCE_EXTRA[symbol] ?? 0)
      bits += (distances[symbol] ?? 0) * length
    }
    return bits
  }
}

function bytesOf(bits: number): number {
  return (bits + TYPE_BITS + 7) >> 3
}
