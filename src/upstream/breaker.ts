/** Stops asking a registry that fails again and again, and lets one request through now and then to see. */
import type { Clock } from '../ports.ts'

export interface BreakerPolicy {
  /** Failures in a row that open it. */
  readonly threshold: number
  /** How long it stays open before one probe may pass, ms. */
  readonly coolOffMs: number
}

export class Breaker {
  readonly #policy: BreakerPolicy
  readonly #clock: Clock
  #failures = 0
  /** Monotonic ms. */
  #probeAt = 0

  constructor(policy: BreakerPolicy, clock: Clock) {
    this.#policy = policy
    this.#clock = clock
  }

  /** Milliseconds until a request may pass; 0: go on. Who goes on while it is open is the probe and holds back the others. */
  wait(): number {
    if (this.#failures < this.#policy.threshold) return 0
    const now = this.#clock.monotonic()
    if (now < this.#probeAt) return this.#probeAt - now
    this.#probeAt = now + this.#policy.coolOffMs
    return 0
  }

  get isOpen(): boolean {
    return this.#failures >= this.#policy.threshold && this.#clock.monotonic() < this.#probeAt
  }

  recordAnswer(): void {
    this.#failures = 0
  }

  recordFailure(): void {
    this.#failures += 1
    if (this.#failures >= this.#policy.threshold) {
      this.#probeAt = this.#clock.monotonic() + this.#policy.coolOffMs
    }
  }
}
