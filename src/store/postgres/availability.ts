/** Whether the server answers: once it does not, one prober asks until it does again, and nobody else waits longer than needed. */
import type { Clock } from '../../ports/clock.ts'
import type { Reach } from '../reach.ts'

/** Between two tries while the server is away, ms. */
const FIRST_PAUSE_MS = 50
const LONGEST_PAUSE_MS = 1_000

interface Away {
  /** Monotonic ms. */
  readonly since: number
  readonly back: Promise<void>
}

export class Availability {
  readonly #clock: Clock
  readonly #probe: () => Promise<void>
  readonly #reach: Pick<Reach, 'failed' | 'answered'> | undefined
  readonly #closing = new AbortController()
  #away: Away | undefined
  /** What it was last found away with. */
  #error: unknown

  /** `probe` throws, as CrossdockErrors, while nobody answers who could be asked. */
  constructor(
    clock: Clock,
    probe: () => Promise<void>,
    reach?: Pick<Reach, 'failed' | 'answered'>,
  ) {
    this.#clock = clock
    this.#probe = probe
    this.#reach = reach
  }

  /** Throws what the server was last found away with. */
  assert(): void {
    if (this.#away !== undefined) throw this.error
  }

  get error(): unknown {
    return this.#error
  }

  /** Somebody was not answered. */
  lost(error: unknown): void {
    if (this.#away !== undefined) return
    this.#error = error
    this.#away = { since: this.#clock.monotonic(), back: this.#untilBack() }
  }

  /** True when it is back; false when it was away for `patienceMs` already, or is so long away now. */
  async isBackWithin(patienceMs: number): Promise<boolean> {
    const away = this.#away
    if (away === undefined) return true
    const left = away.since + patienceMs - this.#clock.monotonic()
    if (left <= 0) return false
    const waiting = new AbortController()
    const late = this.#clock.sleep(left, waiting.signal).then(
      () => false,
      () => false,
    )
    const isBack = await Promise.race([away.back.then(() => true), late])
    waiting.abort()
    return isBack
  }

  close(): void {
    this.#closing.abort()
  }

  async #untilBack(): Promise<void> {
    const { signal } = this.#closing
    for (let pause = FIRST_PAUSE_MS; !signal.aborted; ) {
      try {
        await this.#probe()
        this.#reach?.answered()
        break
      } catch (error) {
        if (error instanceof Error) this.#reach?.failed(error)
        // Also what is no absence (a password, say): it may be mended while we run.
        this.#error = error
        await this.#clock.sleep(pause * (0.5 + Math.random() / 2), signal).catch(() => undefined)
        pause = Math.min(pause * 2, LONGEST_PAUSE_MS)
      }
    }
    this.#away = undefined
  }
}
