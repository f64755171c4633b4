/**
 * Answers that were given before, and are given again while nothing was committed since: one cheap question to the server
 * confirms any number of them. When the server is away they are given as they are.
 */
import { LRUCache } from 'lru-cache'
import type { Database } from './database.ts'

/** Answers that are remembered, each of some hundred bytes. */
const ANSWERS = 20_000

/** How long a remembered answer waits to be confirmed, ms: then the server counts as away. */
const CONFIRM_MS = 2_000

/**
 * Which transactions the server has seen. Equal texts: nothing was committed in between, by anybody, in any database of that
 * server, for transaction numbers only grow. Any commit makes it another, also one that changes nothing of ours; that costs a
 * question.
 */
export const SNAPSHOT = 'pg_current_snapshot()::text'

const CONFIRM = `SELECT ${SNAPSHOT} AS snapshot`

/** A value and at which state of the catalog (`versionOf`) it was read. */
export interface Dated<T> {
  readonly value: T
  readonly version: string
}

export class Answers {
  readonly #db: Pick<Database, 'ask'>
  readonly #known = new LRUCache<string, Dated<unknown>>({ max: ANSWERS })
  #running: Promise<string> | undefined
  #next: Promise<string> | undefined
  /** Read after all those began who run before the event loop goes on. */
  #current: string | undefined

  constructor(db: Pick<Database, 'ask'>) {
    this.#db = db
  }

  /**
   * The answer to `question`, as `ask` gives it. Answers are shared: do not change them. While nobody can confirm what is known it
   * is given all the same, if it `mayBeOld`.
   */
  async recall<T>(
    question: string,
    ask: () => Promise<Dated<T>>,
    mayBeOld: (value: T) => boolean = () => true,
  ): Promise<T> {
    const known = this.#known.get(question) as Dated<T> | undefined
    if (known !== undefined) {
      const holds = await this.#holds(known)
      if (holds ?? mayBeOld(known.value)) return known.value
    }
    const asked = await ask()
    this.#known.set(question, asked)
    return asked.value
  }

  /** What the server has said without being asked. */
  know(question: string, answer: Dated<unknown>): void {
    this.#known.set(question, answer)
  }

  /** It was just taken back. */
  forget(question: string): void {
    this.#known.delete(question)
  }

  /** Call it as soon as the server has said this; what is asked next by whoever waited for it is as new. */
  saw(version: string): void {
    this.#current = version
    // Runs when all of them have had their turn, and before anything else arrives.
    process.nextTick(() => {
      this.#current = undefined
    })
  }

  /** `undefined`: nobody can say so now. */
  async #holds({ version }: Dated<unknown>): Promise<boolean | undefined> {
    try {
      return version === (await this.#version())
    } catch {
      return undefined
    }
  }

  /** Asked after the call, never before; all who come while one is under way share the next. */
  #version(): Promise<string> | string {
    if (this.#current !== undefined) return this.#current
    this.#next ??= this.#confirm(this.#running)
    return this.#next
  }

  async #confirm(before: Promise<string> | undefined): Promise<string> {
    await before?.catch(() => undefined)
    this.#running = this.#next
    this.#next = undefined
    const { server, rows } = await this.#db.ask(CONFIRM, CONFIRM_MS)
    const version = versionOf(server, rows[0]?.snapshot)
    this.saw(version)
    return version
  }
}

/** After a restart or a failover numbers may be given out again, so the server counts too. */
export function versionOf(server: string, snapshot: unknown): string {
  return `${server} ${String(snapshot)}`
}
