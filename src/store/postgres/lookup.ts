/** Questions of one kind that are asked at the same time go to the server as one. */
import type { Answers, Dated } from './answers.ts'
import { SNAPSHOT, versionOf } from './answers.ts'
import type { Session } from './database.ts'
import type { Row, Value } from './driver.ts'

/** Keys in one question: enough to share a round trip, few enough to be quick. */
const AT_ONCE = 200

/** Questions of a kind under way; who comes meanwhile shares the next. */
const AT_A_TIME = 2

interface Waiting<V> {
  readonly key: readonly Value[]
  readonly resolve: (found: Dated<V>) => void
  readonly reject: (error: unknown) => void
}

/** What is asked: `keys` are columns of type `types` named k1, k2...; `find` selects what belongs to them, once for each key. */
export interface LookupQuery {
  readonly types: readonly string[]
  readonly find: string
}

/** What was found for one key as its answer; `tell` takes what else the rows answer, which is likely to be asked next. */
export type AnswerOf<V> = (
  rows: readonly Row[],
  key: readonly Value[],
  tell: (question: string, value: unknown) => void,
) => V

export class Lookup<V> {
  readonly #db: Session
  readonly #answers: Answers
  readonly #types: LookupQuery['types']
  readonly #text: string
  readonly #answerOf: AnswerOf<V>
  readonly #mayBeOld: (answer: V) => boolean
  readonly #waiting: Waiting<V>[] = []
  #running = 0

  /** `mayBeOld`: whether an answer is given when nobody can confirm it. */
  constructor(
    db: Session,
    answers: Answers,
    { types, find }: LookupQuery,
    answerOf: AnswerOf<V>,
    mayBeOld: (answer: V) => boolean = () => true,
  ) {
    this.#db = db
    this.#answers = answers
    this.#types = types
    this.#text = lookupText(types, find)
    this.#answerOf = answerOf
    this.#mayBeOld = mayBeOld
  }

  /** The answer, remembered while nothing changes. `key`: one value for each of the query's keys. */
  find(question: string, key: readonly Value[]): Promise<V> {
    return this.#answers.recall(question, () => this.#load(key), this.#mayBeOld)
  }

  /** Asks for what was just written, so that it is known when somebody else asks, and the server may be away. */
  remember(question: string, key: readonly Value[]): void {
    void this.find(question, key).catch(() => undefined)
  }

  /** Nobody is to be told any more what was known. */
  forget(question: string): void {
    this.#answers.forget(question)
  }

  #load(key: readonly Value[]): Promise<Dated<V>> {
    const { promise, resolve, reject } = Promise.withResolvers<Dated<V>>()
    this.#waiting.push({ key, resolve, reject })
    if (this.#waiting.length === 1) queueMicrotask(() => this.#start())
    return promise
  }

  #start(): void {
    while (this.#running < AT_A_TIME && this.#waiting.length > 0) {
      this.#running += 1
      void this.#run(this.#waiting.splice(0, AT_ONCE))
    }
  }

  async #run(some: readonly Waiting<V>[]): Promise<void> {
    try {
      const columns = this.#types.map((_, column) => some.map(({ key }) => key[column] ?? null))
      const { rows, server } = await this.#db.query(this.#text, columns)
      const version = versionOf(server, rows[0]?.snapshot)
      const found: Row[][] = some.map(() => [])
      for (const row of rows) if (row.is_found === true) found[Number(row.i) - 1]?.push(row)
      this.#answers.saw(version)
      const tell = (question: string, value: unknown) =>
        this.#answers.know(question, { value, version })
      for (const [i, { key, resolve }] of some.entries()) {
        resolve({ value: this.#answerOf(found[i] ?? [], key, tell), version })
      }
    } catch (error) {
      for (const { reject } of some) reject(error)
    } finally {
      this.#running -= 1
      this.#start()
    }
  }
}

/** `LATERAL` makes each key go by an index of its own, whatever the planner believes of the tables. */
export function lookupText(types: readonly string[], find: string): string {
  const arrays = types.map((type, i) => `$${i + 1}::${type}[]`).join(', ')
  const names = types.map((_, i) => `k${i + 1}`).join(', ')
  return `SELECT k.i, found.*, ${SNAPSHOT} AS snapshot
    FROM unnest(${arrays}) WITH ORDINALITY AS k (${names}, i)
    LEFT JOIN LATERAL (${find}) found ON true`
}
