/** How Go's compress/flate (up to 1.26) writes blocks at level 1: one for each window. */
import type { BlockPlan, BlockStyle, Chunk, ChunkRule, EmptyBlock } from '../model.ts'
import { BlockCode, type DynamicBlock, storedBits } from './block-code.ts'
import { FAST_LEAST, FAST_WINDOW } from './fast.ts'
import { emptyStored } from './tail.ts'

/** So many bytes alone are stored without a try. */
const MAX_STORED = 16

export class FastBlocks implements BlockStyle {
  readonly rule: ChunkRule = { unit: 'bytes', most: FAST_WINDOW }
  readonly hasLiteralChunks = true
  readonly #code = new BlockCode()

  begin(): void {
    // Blocks do not depend on those before.
  }

  plan(chunk: Chunk): BlockPlan {
    const { bytes, size, tokens } = chunk
    if (bytes === undefined || size === 0) return { kind: 'none' }
    if (size <= MAX_STORED) return { kind: 'stored', isFinal: false }
    // Where matches take away less than a sixteenth, they are not worth their codes.
    const isLiteral = size < FAST_LEAST || tokens.length > size - (size >> 4)
    if (isLiteral) this.#code.countLiterals(bytes)
    else this.#code.count(chunk)
    return smaller(size, this.#code.dynamic(), isLiteral)
  }

  adopt(): void {
    // Nor on how those were written.
  }

  tail(chunk: Chunk): readonly EmptyBlock[] {
    return emptyStored(chunk)
  }
}

/** Codes must save a sixteenth. */
function smaller(size: number, { header, bits }: DynamicBlock, isLiteral: boolean): BlockPlan {
  if (storedBits(size) < bits + (bits >> 4)) return { kind: 'stored', isFinal: false }
  return { kind: 'dynamic', isFinal: false, isLiteral, header }
}
