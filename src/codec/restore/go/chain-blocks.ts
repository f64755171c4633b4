/** How Go's compress/flate (up to 1.26) writes blocks at levels 4 to 9: whenever there are 16384 tokens, by whatever is the smallest. */
import type { BlockPlan, BlockStyle, Chunk, ChunkRule, EmptyBlock } from '../model.ts'
import { BlockCode, storedBits } from './block-code.ts'
import { emptyStored } from './tail.ts'

const MAX_TOKENS = 16_384

/** What a style asks of the matcher: whether it still holds so many bytes before the next token. */
export interface Held {
  holds(size: number): boolean
}

export class ChainBlocks implements BlockStyle {
  readonly rule: ChunkRule = { unit: 'tokens', most: MAX_TOKENS }
  readonly hasLiteralChunks = false
  readonly #code = new BlockCode()
  readonly #held: Held

  constructor(held: Held) {
    this.#held = held
  }

  begin(): void {
    // Blocks do not depend on those before.
  }

  plan(chunk: Chunk): BlockPlan {
    if (chunk.size === 0) return { kind: 'none' }
    const code = this.#code
    code.count(chunk)
    const fixed = code.fixed()
    const { header, bits } = code.dynamic()
    const least = Math.min(fixed, bits) + code.extra()
    const canBeStored = chunk.bytes !== undefined && this.#held.holds(chunk.size)
    if (canBeStored && storedBits(chunk.size) < least) return { kind: 'stored', isFinal: false }
    if (bits < fixed) return { kind: 'dynamic', isFinal: false, isLiteral: false, header }
    return { kind: 'fixed', isFinal: false, isLiteral: false }
  }

  adopt(): void {
    // Nor on how those were written.
  }

  tail(chunk: Chunk): readonly EmptyBlock[] {
    return emptyStored(chunk)
  }
}
