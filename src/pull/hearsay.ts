/** What processes that share a store tell each other of one subject, as hints: whoever missed one is slower or asks once more. */
import { randomUUID } from 'node:crypto'
import { isText, parseObject } from '../lib/shapes.ts'
import type { Clock } from '../ports/clock.ts'
import type { Notice, Notices } from '../ports/leases.ts'

/** Longer than any name, digest or reason is that one process tells another. */
const LONGEST = 600

/** When notices cannot be had: how soon that is tried again, ms. */
const AGAIN_MS = 5_000

/** A text that others may well have told: whoever reaches their engine can tell as well, and what is heard is kept. */
export function isTold(value: unknown): value is string {
  return isText(value) && value.length <= LONGEST
}

export interface HearsayDeps {
  readonly notices: Notices
  readonly clock: Clock
}

type News = Readonly<Record<string, unknown>>

export class Hearsay implements AsyncDisposable {
  readonly #deps: HearsayDeps
  readonly #topic: string
  readonly #heard: (news: News) => void
  /** Everybody hears their own notices, too. */
  readonly #from = randomUUID()
  readonly #end = new AbortController()
  readonly #listening: Promise<Disposable | undefined>

  /** Calls `heard` with what others tell, as they sent it: plain values of which nothing is certain. */
  constructor(deps: HearsayDeps, topic: string, heard: (news: News) => void) {
    this.#deps = deps
    this.#topic = topic
    this.#heard = heard
    this.#listening = this.#listen()
  }

  /** Never rejects: what cannot be told is not heard. */
  async tell(news: News): Promise<void> {
    const text = JSON.stringify({ from: this.#from, ...news })
    await this.#deps.notices.publish(this.#topic, text).catch(() => undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    const subscription = await this.#listening
    subscription?.[Symbol.dispose]()
  }

  async #listen(): Promise<Disposable | undefined> {
    const { notices, clock } = this.#deps
    const { signal } = this.#end
    while (!signal.aborted) {
      try {
        return await notices.subscribe(this.#topic, (notice) => this.#hear(notice))
      } catch {
        await clock.sleep(AGAIN_MS, signal).catch(() => undefined)
      }
    }
    return undefined
  }

  #hear(notice: Notice): void {
    if (notice.kind === 'gap') return
    const { from, ...news } = parseObject(notice.text) ?? {}
    if (isText(from) && from !== this.#from) this.#heard(news)
  }
}
