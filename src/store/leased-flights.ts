/** Work that is done once among the processes that share a store: whoever holds the lease of its name does it. */
import type { Clock } from '../ports/clock.ts'
import type { Leases } from '../ports/leases.ts'
import type { OthersFlight, SharedFlight, SharedFlights } from '../ports/shared-flights.ts'
import { HeldLease } from './held-lease.ts'

/** How long others wait for whoever has died, ms. To lose a lease costs no more than work that is done twice. */
const TTL_MS = 6_000

export interface LeasedFlightsDeps {
  readonly leases: Leases
  readonly clock: Clock
  readonly ttlMs?: number
}

export class LeasedFlights implements SharedFlights, AsyncDisposable {
  /** What others are to know of this process, in all leases that it takes from now on. */
  note = ''
  readonly #deps: LeasedFlightsDeps
  readonly #closing = new AbortController()
  readonly #held = new Set<HeldLease>()
  /** By name. */
  readonly #releasing = new Map<string, Promise<void>>()

  constructor(deps: LeasedFlightsDeps) {
    this.#deps = deps
  }

  async once<T extends object>(
    name: string,
    { find, work }: { find(): Promise<T | undefined>; work(): Promise<T> },
  ): Promise<T> {
    for (;;) {
      const flight = await this.begin(name)
      if (flight.kind === 'own') {
        using _ = flight
        return (await find()) ?? (await work())
      }
      await flight.ended()
      const found = await find()
      if (found !== undefined) return found
    }
  }

  async begin(name: string): Promise<SharedFlight> {
    this.#closing.signal.throwIfAborted()
    const { leases, clock, ttlMs = TTL_MS } = this.#deps
    // Whoever begins again what has just failed here is not to wait for itself.
    await this.#releasing.get(name)
    const held = await HeldLease.take(leases, clock, name, ttlMs, this.note)
    if (held === undefined) return await this.#others(name)
    this.#held.add(held)
    return { kind: 'own', [Symbol.dispose]: () => void this.#release(held) }
  }

  /** Others need not wait for the limits of what was held here. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Error('the store is closed'))
    for (const held of this.#held) void this.#release(held)
    await Promise.all(this.#releasing.values())
  }

  async #others(name: string): Promise<OthersFlight> {
    const { leases } = this.#deps
    const first = await leases.find(name)
    const { signal: closing } = this.#closing
    return {
      kind: 'others',
      note: async () => {
        const now = await leases.find(name)
        return now?.token === first?.token ? now?.note : undefined
      },
      ended: (signal) =>
        leases.untilFree(name, signal === undefined ? closing : AbortSignal.any([closing, signal])),
    }
  }

  /** Nobody here waits for it. */
  #release(held: HeldLease): Promise<void> {
    this.#held.delete(held)
    const { name } = held.lease
    const releasing = held[Symbol.asyncDispose]().finally(() => {
      if (this.#releasing.get(name) === releasing) this.#releasing.delete(name)
    })
    this.#releasing.set(name, releasing)
    return releasing
  }
}
