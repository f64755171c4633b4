/** Has all workers read their configuration again: one first, since what it cannot use is asked of nobody else. */
import type { Reloaded } from '../admin/whole.ts'
import { CrossdockError } from '../errors.ts'
import { saidIn } from './answers.ts'
import type { Child } from './child.ts'
import type { Inquiries } from './inquiries.ts'

/** The files of a configuration may be many, ms. */
const LIMIT_MS = 20_000

const QUESTION = { about: 'reload', ask: {} } as const

type Workers = ReadonlyMap<number, Child>

export class Reloads {
  readonly #inquiries: Inquiries
  readonly #ready: () => Workers
  #last: Promise<unknown> = Promise.resolve()

  /** `ready`: who serves now. */
  constructor(inquiries: Inquiries, ready: () => Workers) {
    this.#inquiries = inquiries
    this.#ready = ready
  }

  /**
   * One after the other. Throws what a worker has failed with: the first, and then all go by what they had; or another one, whose files
   * have changed meanwhile.
   */
  async run(): Promise<Reloaded> {
    const reloaded = this.#last.then(() => this.#reload())
    this.#last = reloaded.catch(() => undefined)
    return await reloaded
  }

  /** One that began with what is not in force any more. */
  async again(number: number, child: Child): Promise<void> {
    const again = this.#last.then(() => this.#ask(new Map([[number, child]])))
    this.#last = again.catch(() => undefined)
    await again
  }

  async #reload(): Promise<Reloaded> {
    const [first, ...others] = this.#ready()
    const firsts = first === undefined ? [] : await this.#ask(new Map([first]))
    if (firsts.length === 0) {
      const text = 'no worker has answered whether it can use the configuration; try again'
      throw new CrossdockError('overloaded', text, { reason: 'workers', retryAfter: 5 })
    }
    const all = [...firsts, ...(await this.#ask(new Map(others)))]
    return {
      changed: [...new Set(all.flatMap(({ changed }) => changed))],
      restart: [...new Set(all.flatMap(({ restart }) => restart))],
    }
  }

  async #ask(workers: Workers): Promise<readonly Reloaded[]> {
    const answers = await this.#inquiries.ask(workers, QUESTION, LIMIT_MS)
    return [...answers.values()].map((answer) => saidIn<Reloaded>(answer))
  }
}
