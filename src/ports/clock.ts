/** The time, as the program needs it. */

export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number
  /** Monotonic milliseconds, for durations and timers. */
  monotonic(): number
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}
