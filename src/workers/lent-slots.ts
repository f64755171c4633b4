/** Slots for conversions that one worker does not need are lent to those that could use more than their part. */

export interface LentSlotsDeps {
  /** Among whom they are divided. */
  readonly workers: number
  /** What all together have, now. */
  readonly total: () => number
  /** `lent`: beyond its own part. */
  readonly tell: (worker: number, lent: number) => void
}

interface Borrower {
  /** Conversions that run, and that wait for a slot. */
  wanted: number
  lent: number
}

/**
 * Each has its part whenever it wants it, and waits for nobody; so for a moment there are more than all together should have, until
 * whoever has borrowed gives back.
 */
export class LentSlots {
  readonly #deps: LentSlotsDeps
  readonly #borrowers = new Map<number, Borrower>()

  constructor(deps: LentSlotsDeps) {
    this.#deps = deps
  }

  wants(worker: number, wanted: number): void {
    const known = this.#borrowers.get(worker)
    if (known === undefined) this.#borrowers.set(worker, { wanted, lent: 0 })
    else known.wanted = wanted
    this.share()
  }

  gone(worker: number): void {
    if (this.#borrowers.delete(worker)) this.share()
  }

  /** After a change of the total as well. */
  share(): void {
    const shares = sharesOf(this.#borrowers, this.#deps)
    for (const [worker, borrower] of this.#borrowers) {
      const lent = shares.get(worker) ?? 0
      if (lent === borrower.lent) continue
      borrower.lent = lent
      this.#deps.tell(worker, lent)
    }
  }
}

/** One by one to whoever has been lent least, as long as there are any. */
function sharesOf(
  borrowers: ReadonlyMap<number, Borrower>,
  { workers, total }: Pick<LentSlotsDeps, 'workers' | 'total'>,
): ReadonlyMap<number, number> {
  const part = Math.ceil(total() / workers)
  const all = [...borrowers]
  let free = total() - all.reduce((sum, [, { wanted }]) => sum + Math.min(wanted, part), 0)
  const shares = new Map<number, number>()
  for (;;) {
    const unmet = all.filter(([worker, { wanted }]) => wanted - part > (shares.get(worker) ?? 0))
    if (free <= 0 || unmet.length === 0) return shares
    for (const [worker] of unmet.slice(0, free)) shares.set(worker, (shares.get(worker) ?? 0) + 1)
    free -= unmet.length
  }
}
