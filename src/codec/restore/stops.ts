/** Where an encoder ends a chunk under a rule of tokens: asked, token by token, as the chunk grows. */
import type { Chunk, ChunkRule } from './model.ts'

export class Stops {
  /** The count of tokens at which to ask next; infinite once the chunk has ended. */
  next: number
  /** Tokens of the chunk, when it has ended. */
  predicted: number | undefined
  readonly #rule: ChunkRule & { unit: 'tokens' }

  constructor(rule: ChunkRule & { unit: 'tokens' }) {
    this.#rule = rule
    this.next = Math.min(rule.most, rule.test?.every ?? rule.most)
  }

  /** Whether the chunk has got to where it was to be asked for. */
  reach(count: number, chunk: () => Chunk): boolean {
    if (count !== this.next) return false
    const { most, test } = this.#rule
    if (count === most || test?.ends(chunk()) === true) {
      this.predicted = count
      this.next = Number.POSITIVE_INFINITY
    } else this.next = Math.min(most, count + (test?.every ?? most))
    return true
  }
}
