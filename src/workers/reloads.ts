/**
 * Has all workers read their configuration again: one first, since what it cannot use is asked of nobody else. Who says nothing is not waited
 * for, and asked once more as soon as it does.
 */
import type { Reloaded } from '../admin/whole.ts'
import { saidIn } from './answers.ts'
import type { Child } from './child.ts'
import type { Inquiries } from './inquiries.ts'
import type { Answer } from './words.ts'

/** The files of a configuration may be many, ms; who stands still is left out long before. */
const LIMIT_MS = 20_000

const QUESTION = { about: 'reload', ask: {} } as const

type Workers = ReadonlyMap<number, Child>

export interface ReloadsDeps {
  readonly inquiries: Inquiries
  /** Who serves now. */
  readonly ready: () => Workers
  /** It has said nothing for a short while. */
  readonly isQuiet: (number: number) => boolean
}

export interface ReloadOutcome {
  /** Absent: nobody has answered. */
  readonly reloaded: Reloaded | undefined
  /** Who has not answered. */
  readonly missed: readonly number[]
}

export class Reloads {
  readonly #deps: ReloadsDeps
  /** Who has not answered the last time. */
  readonly #behind = new Set<number>()
  #last: Promise<unknown> = Promise.resolve()

  constructor(deps: ReloadsDeps) {
    this.#deps = deps
  }

  /**
   * One after the other. Throws what a worker has failed with: the first, and then all go by what they had; or another one, whose files
   * have changed meanwhile.
   */
  async run(): Promise<ReloadOutcome> {
    const outcome = this.#last.then(() => this.#reload())
    this.#last = outcome.catch(() => undefined)
    return await outcome
  }

  /** One that began with what is not in force any more. */
  async again(number: number, child: Child): Promise<void> {
    const again = this.#last.then(() => this.#ask(new Map([[number, child]])))
    this.#last = again.catch(() => undefined)
    for (const answer of (await again).values()) saidIn(answer)
  }

  /** This one is not waited for any more. */
  quiet(number: number): void {
    this.#deps.inquiries.leaveOut(number, QUESTION.about)
  }

  /** Whether this one has missed the last reload; said once. */
  isBehind(number: number): boolean {
    return this.#behind.delete(number)
  }

  gone(number: number): void {
    this.#behind.delete(number)
  }

  async #reload(): Promise<ReloadOutcome> {
    const left = new Map(this.#deps.ready())
    const answers = new Map<number, Answer>()
    const all = [...left.keys()]
    for (const [number, child] of left) {
      if (answers.size > 0) break
      left.delete(number)
      for (const one of await this.#ask(new Map([[number, child]]))) answers.set(...one)
    }
    const firsts = [...answers.values()].map((answer) => saidIn<Reloaded>(answer))
    const others = await this.#ask(left)
    const rest = [...others.values()].map((answer) => saidIn<Reloaded>(answer))
    const ready = this.#deps.ready()
    const missed = all.filter(
      (number) => ready.has(number) && !answers.has(number) && !others.has(number),
    )
    return { reloaded: sumOf([...firsts, ...rest]), missed }
  }

  /** Who is quiet is asked as well: it reads its configuration when it wakes up. */
  async #ask(asked: Workers): Promise<ReadonlyMap<number, Answer>> {
    const { inquiries, isQuiet, ready } = this.#deps
    const workers = new Map([...asked].filter(([number]) => ready().has(number)))
    const answering = inquiries.ask(workers, QUESTION, LIMIT_MS)
    for (const number of workers.keys()) {
      if (isQuiet(number)) inquiries.leaveOut(number, QUESTION.about)
    }
    const answers = await answering
    for (const number of workers.keys()) {
      if (answers.has(number) || !ready().has(number)) this.#behind.delete(number)
      else this.#behind.add(number)
    }
    return answers
  }
}

function sumOf(all: readonly Reloaded[]): Reloaded | undefined {
  if (all.length === 0) return undefined
  return {
    changed: [...new Set(all.flatMap(({ changed }) => changed))],
    restart: [...new Set(all.flatMap(({ restart }) => restart))],
  }
}
