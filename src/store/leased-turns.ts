/** Turns among the processes that share a store: whoever holds the lease of the name has it. */
import type { Clock } from '../ports/clock.ts'
import type { Leases } from '../ports/leases.ts'
import type { SharedTurn, SharedTurns } from '../ports/shared-turns.ts'
import { HeldLease } from './held-lease.ts'

/** How long others wait for whoever has died, ms. */
const TTL_MS = 15_000

export class LeasedTurns implements SharedTurns {
  readonly #leases: Leases
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #note: string

  /** `note`: what others are to know of this holder. */
  constructor(leases: Leases, clock: Clock, { ttlMs = TTL_MS, note = '' } = {}) {
    this.#leases = leases
    this.#clock = clock
    this.#ttlMs = ttlMs
    this.#note = note
  }

  async take<T>(
    name: string,
    work: (turn: SharedTurn) => Promise<T>,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<T> {
    for (;;) {
      signal.throwIfAborted()
      await using held = await HeldLease.take(
        this.#leases,
        this.#clock,
        name,
        this.#ttlMs,
        this.#note,
      )
      if (held !== undefined) return await work(turnOf(held))
      await this.#leases.untilFree(name, signal)
    }
  }
}

function turnOf(held: HeldLease): SharedTurn {
  return {
    fence: { lease: held.lease.name, token: held.lease.token },
    signal: held.signal,
    assertHeld: () => held.assert(),
  }
}
