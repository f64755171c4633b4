/** A matcher's loop in WebAssembly, fed with the plain bytes and the tokens of one run after the other. */
import type { Run } from './model.ts'

/** What such a loop shows of its memory. */
export interface TokenLoop {
  readonly numbers: Readonly<Record<'at' | 'count' | 'isGiven' | 'predicted', { value: number }>>
  /** Goes on with tokens until a place or a count is reached (0), or the token that is given is not what is predicted (1). */
  readonly run: (limit: number, end: number, countLimit: number) => number
  readonly tokens: Uint32Array
  readonly bytes: Uint8Array
}

export class LoopRuns {
  readonly #loop: TokenLoop
  /** Bytes that are in the loop's memory already. */
  #copied = 0

  constructor(loop: TokenLoop) {
    this.#loop = loop
  }

  slide(by: number): void {
    this.#loop.bytes.copyWithin(0, by, this.#copied)
    this.#copied = Math.max(0, this.#copied - by)
  }

  run(run: Run): void {
    if (run.end > this.#copied) {
      this.#loop.bytes.set(run.plain.subarray(this.#copied, run.end), this.#copied)
      this.#copied = run.end
    }
    while (run.at < run.limit && run.count < run.countLimit) this.#runSome(run)
  }

  /** As many tokens as the loop's memory holds. */
  #runSome(run: Run): void {
    const { limit, end } = run
    const { numbers, tokens } = this.#loop
    const { at, count, isGiven, predicted } = numbers
    const most = Math.min(tokens.length, run.countLimit - run.count, limit - run.at)
    tokens.set(run.tokens.subarray(run.count, run.count + most))
    at.value = run.at
    count.value = 0
    isGiven.value = 0
    while (this.#loop.run(limit, end, most) !== 0) {
      tokens[count.value] = run.miss(run.count + count.value, at.value, predicted.value)
      isGiven.value = 1
    }
    run.tokens.set(tokens.subarray(0, count.value), run.count)
    run.count += count.value
    run.at = at.value
  }
}
