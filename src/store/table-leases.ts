/** Leases over any table that can give one row to one holder: what they share on every engine. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../ports/clock.ts'
import type { Lease, LeaseHolder, Leases, Notices } from '../ports/leases.ts'

/** One row a name; all times by the engine's clock, each method one atomic step. */
export interface LeaseTable {
  /** The token, when nobody holds it, or the same `holder` does (who may not have heard the answer); else `undefined`. */
  take(name: string, holder: string, ttlMs: number): Promise<number | undefined>
  /** False when the limit has passed or another token is the last. */
  extend(name: string, token: number, ttlMs: number): Promise<boolean>
  /** Ends it, if it is still held under this token; true when it was. */
  end(name: string, token: number): Promise<boolean>
  /** Who holds it for how long yet; `undefined`: nobody. */
  find(name: string): Promise<LeaseRow | undefined>
}

export interface HeldName {
  readonly name: string
  readonly token: number
}

export interface LeaseRow {
  readonly token: number
  readonly holder: string
  readonly leftMs: number
}

/** Between what makes a holder another one than all others and what it says of itself. */
const NOTE = ' '

/** However long a lease lasts, it is asked again after this, ms: its holder may have been given another limit. */
const LONGEST_WAIT_MS = 60_000

/** Engines round times. */
const SLACK_MS = 1

export class TableLeases implements Leases {
  readonly #table: LeaseTable
  readonly #notices: Notices
  readonly #clock: Clock
  readonly #process: string

  /** `process`: before all that this process is as a holder, for who knows by it when it has ended. */
  constructor(table: LeaseTable, notices: Notices, clock: Clock, process = '') {
    this.#table = table
    this.#notices = notices
    this.#clock = clock
    this.#process = process
  }

  async acquire(name: string, ttlMs: number, note = ''): Promise<Lease | undefined> {
    const asked = this.#clock.monotonic()
    const token = await this.#table.take(
      name,
      `${this.#process}${randomUUID()}${NOTE}${note}`,
      ttlMs,
    )
    if (token === undefined) return undefined
    return new TableLease(name, token, asked + ttlMs, this.#clock, {
      extend: (ms) => this.#table.extend(name, token, ms),
      end: () => this.#end(name, token),
    })
  }

  async find(name: string): Promise<LeaseHolder | undefined> {
    const row = await this.#table.find(name)
    return row && { token: row.token, note: noteOf(row.holder) }
  }

  async isCurrent(name: string, token: number): Promise<boolean> {
    return (await this.#table.find(name))?.token === token
  }

  async untilFree(name: string, signal: AbortSignal): Promise<void> {
    let wake = () => {}
    // Listens before it looks, so that no release falls in between.
    using _ = await this.#notices.subscribe(topicOf(name), () => wake())
    for (;;) {
      signal.throwIfAborted()
      const { promise: woken, resolve } = Promise.withResolvers<void>()
      wake = resolve
      const held = await this.#table.find(name)
      if (held === undefined) return
      await this.#sleep(Math.min(held.leftMs + SLACK_MS, LONGEST_WAIT_MS), woken, signal)
    }
  }

  /** Ends what `rows` say is held, though not by this process: who waits for it need not wait for its limit. */
  async endOthers(rows: readonly HeldName[]): Promise<void> {
    for (const { name, token } of rows) await this.#end(name, token)
  }

  async #end(name: string, token: number): Promise<void> {
    if (await this.#table.end(name, token)) await this.#notices.publish(topicOf(name), '')
  }

  async #sleep(ms: number, woken: Promise<void>, signal: AbortSignal): Promise<void> {
    const waiting = new AbortController()
    const slept = this.#clock.sleep(ms, AbortSignal.any([signal, waiting.signal]))
    // Aborted, by either: the loop looks at which.
    await Promise.race([woken, slept.catch(() => undefined)])
    waiting.abort()
  }
}

class TableLease implements Lease {
  readonly name: string
  readonly token: number
  readonly #clock: Clock
  readonly #steps: {
    readonly extend: (ttlMs: number) => Promise<boolean>
    readonly end: () => Promise<void>
  }
  #heldUntil: number

  constructor(
    name: string,
    token: number,
    heldUntil: number,
    clock: Clock,
    steps: {
      readonly extend: (ttlMs: number) => Promise<boolean>
      readonly end: () => Promise<void>
    },
  ) {
    this.name = name
    this.token = token
    this.#heldUntil = heldUntil
    this.#clock = clock
    this.#steps = steps
  }

  get heldUntil(): number {
    return this.#heldUntil
  }

  async renew(ttlMs: number): Promise<boolean> {
    const asked = this.#clock.monotonic()
    const isHeld = await this.#steps.extend(ttlMs)
    this.#heldUntil = isHeld ? asked + ttlMs : Number.NEGATIVE_INFINITY
    return isHeld
  }

  async release(): Promise<void> {
    this.#heldUntil = Number.NEGATIVE_INFINITY
    await this.#steps.end()
  }
}

/** Older builds leave none. */
function noteOf(holder: string): string {
  const end = holder.indexOf(NOTE)
  return end < 0 ? '' : holder.slice(end + NOTE.length)
}

function topicOf(name: string): string {
  return `lease ${name}`
}
