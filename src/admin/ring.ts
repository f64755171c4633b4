/** Sums over the last so many steps of time, in memory of a fixed size: nothing runs when nothing is counted. */

export interface RingOptions<C extends string> {
  readonly columns: readonly C[]
  /** ms */
  readonly stepMs: number
  /** Steps that are remembered, the current one among them. */
  readonly steps: number
  /** ms since 1970. */
  readonly now: () => number
}

/** One step: when it began, and its sums. */
export type RingRow<C extends string> = { readonly at: number } & Readonly<Record<C, number>>

export class Ring<C extends string> {
  readonly #options: RingOptions<C>
  readonly #sums: Float64Array
  /** Number of the current step, since 1970. */
  #step: number
  /** Nothing was counted before. */
  readonly #first: number

  constructor(options: RingOptions<C>) {
    this.#options = options
    this.#sums = new Float64Array(options.columns.length * options.steps)
    this.#step = this.#now()
    this.#first = this.#step
  }

  add(column: C, amount: number): void {
    this.#advance()
    const place = this.#place(this.#step, column)
    this.#sums[place] = (this.#sums[place] ?? 0) + amount
  }

  /** Steps from the `skipped`-th last on backwards, `count` of them at most, oldest first; 0: the current one, which is not over. */
  rows(count: number, skipped = 0): readonly RingRow<C>[] {
    this.#advance()
    const { columns, stepMs, steps } = this.#options
    const last = this.#step - skipped
    const first = Math.max(last - count + 1, this.#step - steps + 1, this.#first)
    const rows: RingRow<C>[] = []
    for (let step = first; step <= last; step += 1) {
      const sums = columns.map((column) => [column, this.#sums[this.#place(step, column)] ?? 0])
      rows.push({ at: step * stepMs, ...Object.fromEntries(sums) })
    }
    return rows
  }

  /** A clock that was set back counts into the step that is the latest. */
  #advance(): void {
    const { columns, steps } = this.#options
    const now = this.#now()
    const passed = Math.min(now - this.#step, steps)
    for (let i = 1; i <= passed; i += 1) {
      const from = ((this.#step + i) % steps) * columns.length
      this.#sums.fill(0, from, from + columns.length)
    }
    if (now > this.#step + steps) this.#sums.fill(0)
    this.#step = Math.max(this.#step, now)
  }

  #place(step: number, column: C): number {
    const { columns, steps } = this.#options
    return (step % steps) * columns.length + columns.indexOf(column)
  }

  #now(): number {
    return Math.floor(this.#options.now() / this.#options.stepMs)
  }
}
