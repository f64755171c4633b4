/** Work that no request waits for: a little at a time, each piece once, and none when too much waits already. */
import { Semaphore } from './semaphore.ts'

export class Behind {
  readonly #slots: Semaphore
  readonly #most: number
  readonly #running = new Map<string, Promise<boolean>>()

  /** `slots` pieces at a time; `most` under way or waiting. */
  constructor(slots: number, most: number) {
    this.#slots = new Semaphore(slots)
    this.#most = most
  }

  /** What the piece of work came to, begun here or under way already; false when it failed or there is too much. Never rejects. */
  run(key: string, work: () => Promise<boolean>): Promise<boolean> {
    const running = this.#running.get(key)
    if (running !== undefined) return running
    if (this.#running.size >= this.#most) return Promise.resolve(false)
    const done = this.#slots
      .run(work)
      .catch(() => false)
      .finally(() => this.#running.delete(key))
    this.#running.set(key, done)
    return done
  }
}
