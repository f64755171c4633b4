/** What each client has caused to be written within the last hour. */
import { LRUCache } from 'lru-cache'

const HOUR_MS = 3_600_000

/** An hour passes in steps of five minutes. */
const STEPS = 12
const STEP_MS = HOUR_MS / STEPS

/** Clients that are remembered; each costs some hundred bytes. */
const CLIENTS = 20_000

interface Volume {
  /** Bytes of each step, the current one last. */
  readonly steps: number[]
  /** Number of the current step. */
  step: number
}

export class Volumes {
  readonly #limit: () => number
  readonly #now: () => number
  readonly #clients = new LRUCache<string, Volume>({ max: CLIENTS })

  /** `limit` in bytes an hour; `now`: monotonic, ms. */
  constructor(limit: () => number, now: () => number) {
    this.#limit = limit
    this.#now = now
  }

  add(client: string, bytes: number): void {
    const { steps } = this.#current(client)
    steps[STEPS - 1] = (steps[STEPS - 1] ?? 0) + bytes
  }

  /** True for a client that has had its share. */
  isSpent(client: string): boolean {
    if (!this.#clients.has(client)) return false
    return this.#current(client).steps.reduce((sum, bytes) => sum + bytes, 0) >= this.#limit()
  }

  #current(client: string): Volume {
    const step = Math.floor(this.#now() / STEP_MS)
    const volume = this.#clients.get(client) ?? { steps: Array<number>(STEPS).fill(0), step }
    const passed = Math.min(STEPS, step - volume.step)
    volume.steps.splice(0, passed)
    while (volume.steps.length < STEPS) volume.steps.push(0)
    volume.step = step
    this.#clients.set(client, volume)
    return volume
  }
}
