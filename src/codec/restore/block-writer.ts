/** Writes chunks as their plans say: begins blocks, goes on in them, ends them. */
import { hasMatch } from './course.ts'
import { type BitWriter, type Codes, FIXED_CODES } from './bit-writer.ts'
import { damaged } from './failure.ts'
import type { BlockPlan, Chunk } from './model.ts'

export class BlockWriter {
  readonly #writer: BitWriter
  /** Codes of the block that is open. */
  #open: Codes | undefined

  constructor(writer: BitWriter) {
    this.#writer = writer
  }

  /** Throws `badManifest` for a plan that does not fit the chunk. */
  write(chunk: Chunk, plan: BlockPlan): void {
    if (plan.kind === 'none') {
      if (chunk.size > 0) throw damaged('a block is left out')
      return
    }
    if (plan.kind !== 'continued') this.end()
    if (plan.kind === 'stored') {
      this.#writer.stored(plan.isFinal, bytesOf(chunk))
      return
    }
    if (plan.kind === 'fixed') {
      this.#writer.fixed(plan.isFinal)
      this.#open = FIXED_CODES
    } else if (plan.kind === 'dynamic') {
      this.#writer.dynamic(plan.isFinal, plan.header)
      this.#open = plan.header
    }
    this.#writeTokens(chunk, plan.isLiteral && hasMatch(chunk))
  }

  end(): void {
    if (this.#open !== undefined) this.#writer.endBlock()
    this.#open = undefined
  }

  #writeTokens(chunk: Chunk, isLiteral: boolean): void {
    if (this.#open === undefined) throw damaged('no block is open that could go on')
    const { literals, distances } = this.#open
    if (isLiteral) {
      const bytes = bytesOf(chunk)
      for (const byte of bytes) if ((literals[byte] ?? 0) === 0) throw uncoded()
      this.#writer.literals(bytes)
      return
    }
    if (!isCoded(chunk.literals, literals) || !isCoded(chunk.distances, distances)) throw uncoded()
    this.#writer.tokens(chunk.tokens)
  }
}

function bytesOf({ bytes }: Chunk): Uint8Array {
  if (bytes === undefined) throw damaged('a block is too long for its kind')
  return bytes
}

function isCoded(counts: Uint32Array, lengths: Uint8Array): boolean {
  return counts.every((count, symbol) => count === 0 || (lengths[symbol] ?? 0) > 0)
}

function uncoded(): Error {
  return damaged('a header has no code for what its block holds')
}
