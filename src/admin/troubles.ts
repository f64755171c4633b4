/** What was refused and what was not as wished, by reason, with the words of the last time. */
import { LRUCache } from 'lru-cache'
import type { RequestEvent } from '../lib/request-event.ts'
import type { Telemetry } from '../lib/telemetry.ts'

type Wish = Parameters<Telemetry['wishUnfulfilled']>[0]

export interface Trouble {
  /** ms since 1970. */
  readonly at: number
  /** A short machine word. */
  readonly reason: string
  readonly text: string
  /** `docker.io/library/alpine:3-zstd`, where one was asked for. */
  readonly image: string | null
  /** Of a refusal. */
  readonly status?: number
  readonly client?: string | null
  /** What the original was served in place of. */
  readonly profile?: string
}

export interface TroubleGroup {
  readonly reason: string
  readonly count: number
  readonly last: Trouble
}

/** Reasons are words of ours; should one be made up from data, it costs no more than this. */
const REASONS = 100
/** The last ones, of any reason. */
const RECENT = 50

export class Troubles {
  readonly #now: () => number
  readonly #refusals = new Tally()
  readonly #wishes = new Tally()

  constructor(now: () => number) {
    this.#now = now
  }

  refused({ refusal, reason, status, image, client }: RequestEvent): void {
    if (refusal === undefined) return
    this.#refusals.add({
      at: this.#now(),
      reason: reason ?? String(status),
      text: refusal,
      image: image ?? null,
      status,
      client: client ?? null,
    })
  }

  unfulfilled({ upstream, name, tag, profile, reason, message }: Wish): void {
    const image = `${upstream}/${name}:${tag}`
    this.#wishes.add({ at: this.#now(), reason, text: message, image, profile })
  }

  summary() {
    return { refusals: this.#refusals.summary(), wishes: this.#wishes.summary() }
  }
}

class Tally {
  readonly #groups = new LRUCache<string, TroubleGroup>({ max: REASONS })
  readonly #recent: Trouble[] = []

  add(trouble: Trouble): void {
    const { reason } = trouble
    const count = (this.#groups.get(reason)?.count ?? 0) + 1
    this.#groups.set(reason, { reason, count, last: trouble })
    this.#recent.push(trouble)
    if (this.#recent.length > RECENT) this.#recent.shift()
  }

  /** The most frequent reason, and the latest trouble, first. */
  summary(): { readonly groups: readonly TroubleGroup[]; readonly recent: readonly Trouble[] } {
    const groups = [...this.#groups.values()].sort((a, b) => b.count - a.count)
    return { groups, recent: this.#recent.toReversed() }
  }
}
