/** Images whose original goes out at once, since somebody waited for their conversion and was cut: whoever asks next, and wherever. */
import { LRUCache } from 'lru-cache'
import { Hearsay, type HearsayDeps, isTold } from '../pull/hearsay.ts'

/** How long, ms: kubelet waits five minutes between two tries at most. */
const DEBT_MS = 10 * 60_000
const MOST = 10_000

const TOPIC = 'owed-originals'

/** What `reasonOf` gives: it goes into a header. */
function isReason(value: unknown): value is string {
  return isTold(value) && /^[a-z0-9-]{1,64}$/.test(value)
}

export class Debts implements AsyncDisposable {
  readonly #known = new LRUCache<string, string>({ max: MOST, ttl: DEBT_MS })
  readonly #others: Hearsay | undefined

  /** `shared`: with processes by which the next try may come; default: there are none. */
  constructor(shared?: HearsayDeps) {
    this.#others =
      shared &&
      new Hearsay(shared, TOPIC, ({ image, reason }) => {
        if (isTold(image) && isReason(reason)) this.#known.set(image, reason)
      })
  }

  /** `image`: with the profile that was wished for. */
  owe(image: string, reason: string): void {
    this.#known.set(image, reason)
    void this.#others?.tell({ image, reason })
  }

  /** Why the original is owed, if it is. */
  find(image: string): string | undefined {
    return this.#known.get(image)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#others?.[Symbol.asyncDispose]()
  }
}
