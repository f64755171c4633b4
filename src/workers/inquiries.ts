/** What workers are asked, and what each of them has answered so far. */
import type { Child } from './child.ts'
import type { Answer, Question, Subject } from './words.ts'

interface Inquiry {
  readonly about: Subject
  readonly answers: Map<number, Answer>
  /** Who has not answered. */
  readonly open: Set<number>
  readonly done: () => void
}

export class Inquiries {
  readonly #running = new Map<number, Inquiry>()
  #lastId = 0

  /** Answers by worker; who ends, or says nothing within `limitMs`, is left out. */
  async ask(
    workers: ReadonlyMap<number, Pick<Child, 'send'>>,
    question: Question,
    limitMs: number,
  ): Promise<ReadonlyMap<number, Answer>> {
    if (workers.size === 0) return new Map()
    this.#lastId += 1
    const id = this.#lastId
    const { promise, resolve } = Promise.withResolvers<void>()
    const { about } = question
    const inquiry = { about, answers: new Map(), open: new Set(workers.keys()), done: resolve }
    this.#running.set(id, inquiry)
    const timer = setTimeout(resolve, limitMs)
    for (const worker of workers.values()) worker.send({ kind: 'question', id, question })
    await promise
    clearTimeout(timer)
    this.#running.delete(id)
    return inquiry.answers
  }

  answered(from: number, id: number, answer: Answer): void {
    const inquiry = this.#running.get(id)
    if (inquiry?.open.has(from) !== true) return
    inquiry.answers.set(from, answer)
    this.#leave(inquiry, from)
  }

  gone(worker: number): void {
    for (const inquiry of this.#running.values()) this.#leave(inquiry, worker)
  }

  /** Nobody waits any more for what it says about this. */
  leaveOut(worker: number, about: Subject): void {
    const running = [...this.#running.values()].filter((one) => one.about === about)
    for (const inquiry of running) this.#leave(inquiry, worker)
  }

  #leave({ open, done }: Inquiry, worker: number): void {
    open.delete(worker)
    if (open.size === 0) done()
  }
}
