/** A worker's line to its supervisor: what it is told, and what it asks the others by way of it. */
import type { Config } from '../config/schema.ts'
import type { Tally } from '../admin/merged-state.ts'
import type { Reloaded } from '../admin/whole.ts'
import { answerOf, saidIn } from './answers.ts'
import type { Channel } from './child.ts'
import type { Answer, Beginning, Question, Questions, Start, Subject, ToWorker } from './words.ts'

/** Answers to what others ask this worker. */
export type Answering = {
  readonly [S in Subject]: (ask: Questions[S]['ask']) => Promise<Questions[S]['answer']>
}

/** Slots for conversions, which workers lend each other. */
export interface Borrowing {
  /** `count`: beyond this worker's own part, until another one is said. */
  lend(count: number): void
  /** Calls `listener` with how many could be used, whenever that is another number. */
  onWanted(listener: (count: number) => void): void
}

export interface AskHow {
  /** One worker; default: all others. */
  readonly to?: number
  /** Who has not answered by then is left out. */
  readonly limitMs: number
}

export class Post {
  readonly #channel: Channel
  readonly #begun = Promise.withResolvers<Beginning>()
  readonly #draining = Promise.withResolvers<void>()
  readonly #hurried = Promise.withResolvers<void>()
  readonly #waiting = new Map<number, (answers: Extract<ToWorker, { kind: 'answers' }>) => void>()
  readonly #metrics = new Map<number, (text: string) => void>()
  readonly #reloads = new Map<number, (answer: Answer<Reloaded>) => void>()
  /** Who has ended before anybody wanted to know. */
  readonly #unheard: number[] = []
  #onEnded: (numbers: readonly number[]) => void = (numbers) => void this.#unheard.push(...numbers)
  #tally: () => Tally | undefined = () => undefined
  #onLent: (slots: number) => void = () => undefined
  #answering: Partial<Answering> = {}
  #lastId = 0

  constructor(channel: Channel) {
    this.#channel = channel
    channel.onMessage((message) => this.#hear(message))
  }

  /** Says that it is there; resolves with what it is to begin with. */
  async begin(): Promise<Beginning> {
    this.#channel.send({ kind: 'hello' })
    return await this.#begun.promise
  }

  /** Resolves when it is to finish. */
  get draining(): Promise<void> {
    return this.#draining.promise
  }

  /** Resolves when it is to end at once. */
  get hurried(): Promise<void> {
    return this.#hurried.promise
  }

  /** Calls `listener` with the numbers of siblings that have ended, those of before as well. */
  onEnded(listener: (numbers: readonly number[]) => void): void {
    this.#onEnded = listener
    if (this.#unheard.length > 0) listener(this.#unheard.splice(0))
  }

  /** Tells of what this worker could use, and hears what it may use of what others do not. */
  borrow(slots: Borrowing): void {
    this.#onLent = (count) => slots.lend(count)
    slots.onWanted((count) => this.#channel.send({ kind: 'wants', slots: count }))
  }

  /** What this worker has counted, which is told now and then, and before anybody else is told of it. */
  tallyBy(tally: () => Tally): void {
    this.#tally = tally
  }

  /** Now. */
  tellTally(): void {
    const tally = this.#tally()
    if (tally !== undefined) this.#channel.send({ kind: 'tally', tally })
  }

  /** From now on others can ask this, too. */
  answerWith(answering: Partial<Answering>): void {
    this.#answering = { ...this.#answering, ...answering }
  }

  ready(start: Start): void {
    this.#channel.send({ kind: 'ready', start })
  }

  configured(config: Config): void {
    this.#channel.send({ kind: 'configured', config })
  }

  /** What all of them agree by is damaged or gone; the supervisor begins all of them anew, this one as well. */
  damaged(): void {
    this.#channel.send({ kind: 'damaged' })
  }

  /** What others say. Throws what one of them has failed with. */
  async ask<S extends Subject>(
    about: S,
    ask: Questions[S]['ask'],
    { to, limitMs }: AskHow,
  ): Promise<readonly Questions[S]['answer'][]> {
    return (await this.askAll(about, ask, { ...(to !== undefined && { to }), limitMs })).said
  }

  /** The same, and what those have counted since their start who say nothing, or have ended. */
  async askAll<S extends Subject>(
    about: S,
    ask: Questions[S]['ask'],
    { to, limitMs }: AskHow,
  ): Promise<{ readonly said: readonly Questions[S]['answer'][]; readonly absent: Tally }> {
    const { id, promise } = this.#expect(this.#waiting)
    this.#channel.send({ kind: 'ask', id, to, question: { about, ask }, limitMs })
    const { answers, absent } = await promise
    return { said: answers.map((answer) => saidIn<Questions[S]['answer']>(answer)), absent }
  }

  /** Of all together, as Prometheus reads them. */
  async metricsText(): Promise<string> {
    const { id, promise } = this.#expect(this.#metrics)
    this.#channel.send({ kind: 'ask-metrics', id })
    return await promise
  }

  /** Has all read their configuration again. Throws what one of them has failed with. */
  async reload(): Promise<Reloaded> {
    const { id, promise } = this.#expect(this.#reloads)
    this.#channel.send({ kind: 'ask-reload', id })
    return saidIn(await promise)
  }

  #expect<T>(waiting: Map<number, (value: T) => void>): {
    readonly id: number
    readonly promise: Promise<T>
  } {
    this.#lastId += 1
    const { promise, resolve } = Promise.withResolvers<T>()
    waiting.set(this.#lastId, resolve)
    return { id: this.#lastId, promise }
  }

  #hear(message: ToWorker): void {
    switch (message.kind) {
      case 'begin':
        this.#begun.resolve(message.beginning)
        break
      case 'ping':
        this.tellTally()
        this.#channel.send({ kind: 'alive' })
        break
      case 'drain':
        this.#draining.resolve()
        break
      case 'hurry':
        this.#hurried.resolve()
        break
      case 'ended':
        this.#onEnded(message.numbers)
        break
      case 'lent':
        this.#onLent(message.slots)
        break
      case 'reloaded':
        take(this.#reloads, message.id, message.answer)
        break
      case 'question':
        void this.#answer(message.id, message.question)
        break
      case 'answers':
        take(this.#waiting, message.id, message)
        break
      case 'metrics':
        take(this.#metrics, message.id, message.text)
        break
    }
  }

  async #answer(id: number, { about, ask }: Question): Promise<void> {
    const answer = await answerOf(() => this.#answerTo(about, ask))
    this.#channel.send({ kind: 'answer', id, answer })
  }

  async #answerTo<S extends Subject>(about: S, ask: Questions[S]['ask']): Promise<unknown> {
    const answering: Partial<Answering>[S] = this.#answering[about]
    if (answering === undefined) throw new Error('this worker does not serve yet')
    return await answering(ask)
  }
}

function take<T>(waiting: Map<number, (value: T) => void>, id: number, value: T): void {
  waiting.get(id)?.(value)
  waiting.delete(id)
}
