/** A lease that is kept for as long as somebody works under it: renewed in time, and given up in the work's eyes before it is lost. */
import { CrossdockError } from '../errors.ts'
import type { Clock } from '../ports/clock.ts'
import type { Lease, Leases } from '../ports/leases.ts'

/** Renewed when this part of it has passed, so that two tries may fail. */
const RENEWED_AT = 1 / 3

/** After a renewal that was not answered it is tried again, ms. */
const AGAIN_MS = 250

export class HeldLease implements AsyncDisposable {
  readonly lease: Lease
  readonly #clock: Clock
  readonly #ttlMs: number
  readonly #lost = new AbortController()
  readonly #ended = new AbortController()
  readonly #keeping: Promise<void>

  private constructor(lease: Lease, clock: Clock, ttlMs: number) {
    this.lease = lease
    this.#clock = clock
    this.#ttlMs = ttlMs
    this.#keeping = this.#keep()
  }

  /** `undefined`: somebody else holds it. */
  static async take(
    leases: Leases,
    clock: Clock,
    name: string,
    ttlMs: number,
    note?: string,
  ): Promise<HeldLease | undefined> {
    const lease = await leases.acquire(name, ttlMs, note)
    return lease && new HeldLease(lease, clock, ttlMs)
  }

  /** Aborted as soon as somebody else could hold it. */
  get signal(): AbortSignal {
    return this.#lost.signal
  }

  /** Throws when somebody else could hold it by now. */
  assert(): void {
    this.#lost.signal.throwIfAborted()
    if (this.lease.heldUntil <= this.#clock.monotonic()) throw leaseLost(this.lease.name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort()
    await this.#keeping
    // Its limit ends it, too.
    await this.lease.release().catch(() => undefined)
  }

  async #keep(): Promise<void> {
    const { signal } = this.#ended
    let pause = this.#ttlMs * RENEWED_AT
    while (!signal.aborted) {
      const left = this.lease.heldUntil - this.#clock.monotonic()
      if (left <= 0) break
      await this.#clock.sleep(Math.min(pause, left), signal).catch(() => undefined)
      if (signal.aborted) return
      if (this.lease.heldUntil <= this.#clock.monotonic()) break
      // A renewal that hangs must not hide that the limit passes.
      const renewed = await Promise.race([
        this.lease.renew(this.#ttlMs).catch(() => undefined),
        this.#limit(),
      ])
      if (renewed === false) break
      pause = renewed === true ? this.#ttlMs * RENEWED_AT : AGAIN_MS
    }
    if (signal.aborted) return
    this.#lost.abort(leaseLost(this.lease.name))
    // A renewal that is still under way may reach the engine in time: nobody is to wait for a holder that has given up.
    void this.lease.release().catch(() => undefined)
  }

  async #limit(): Promise<false> {
    const left = Math.max(0, this.lease.heldUntil - this.#clock.monotonic())
    await this.#clock.sleep(left, this.#ended.signal).catch(() => undefined)
    return false
  }
}

export const LEASE_LOST = 'lease-lost'

export function leaseLost(name: string): CrossdockError {
  const message = `the lease ${name} was lost, since it was not renewed in time; try again`
  return new CrossdockError('overloaded', message, { reason: LEASE_LOST, retryAfter: 5 })
}
