/** What is said and counted of clients that speak otherwise than a listener does: now and then, for they come again with each pull. */
import type { Logger } from 'pino'
import { NowAndThen } from './now-and-then.ts'

export interface StrayConnection {
  readonly kind: 'tlsToPlain' | 'plainToTls' | 'noCertificate' | 'badCertificate'
  readonly client: string | undefined
  /** What counts as one client. */
  readonly network: string
  readonly detail?: string
  /** `http://127.0.0.1:5000` */
  readonly listener: string
}

interface Words {
  readonly reason: string
  readonly level: 'info' | 'warn'
  readonly text: string
  /** How often it is said, ms: of a listener, or of each client there. */
  readonly everyMs: number
  readonly isOfClient: boolean
}

export interface StrayNews {
  readonly log: Logger
  /** Each, also those that nothing is said of. */
  readonly count: (reason: string) => void
  /** Monotonic ms. */
  readonly now: () => number
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

/** Lines about clients of one listener in a minute: whoever has a network of addresses is as many clients as they like. */
const LINES_A_MINUTE = 20

const WORDS: Readonly<Record<StrayConnection['kind'], Words>> = {
  tlsToPlain: {
    ...{ reason: 'tls-to-plain', level: 'info', everyMs: HOUR_MS, isOfClient: false },
    text: 'a TLS client spoke to a listener without TLS: say http:// there (Docker and others try TLS first and go on without), or set listen[].tls',
  },
  plainToTls: {
    ...{ reason: 'plain-to-tls', level: 'warn', everyMs: HOUR_MS, isOfClient: false },
    text: 'a client without TLS spoke to a listener with TLS: say https:// there',
  },
  noCertificate: {
    ...{ reason: 'no-certificate', level: 'warn', everyMs: MINUTE_MS, isOfClient: true },
    text: 'a client showed no certificate, which this listener wants (listen[].tls.clientCa): give it one',
  },
  badCertificate: {
    ...{ reason: 'bad-certificate', level: 'warn', everyMs: MINUTE_MS, isOfClient: true },
    text: 'a client showed a certificate that listen[].tls.clientCa does not vouch for: give it one of that authority, or one that has not ended',
  },
}

/** What may still be said of clients of one listener within the minute that began at `since`. */
interface Room {
  readonly since: number
  left: number
}

export function strayLog({ log, count, now }: StrayNews): (stray: StrayConnection) => void {
  const ofListeners = new NowAndThen(now)
  const ofClients = new ClientLines(now)
  return ({ kind, client, network, detail, listener }) => {
    const { reason, level, text, everyMs, isOfClient } = WORDS[kind]
    count(reason)
    const told = isOfClient
      ? ofClients.happened({ reason, listener, network }, everyMs)
      : { times: ofListeners.happened(`${reason} ${listener}`, everyMs) }
    const fields = {
      event: 'connection_refused',
      reason,
      listener,
      client,
      ...(detail && { detail }),
    }
    if (told.times === undefined) log.debug(fields, text)
    else log[level]({ ...fields, ...told }, text)
  }
}

class ClientLines {
  readonly #now: () => number
  readonly #pace: NowAndThen
  readonly #rooms = new Map<string, Room>()
  readonly #unsaid = new Map<string, number>()

  constructor(now: () => number) {
    this.#now = now
    this.#pace = new NowAndThen(now)
  }

  /** `times`: as of `NowAndThen`; `unsaid`: how many lines of the listener there was no room for before this one. */
  happened(
    who: { readonly reason: string; readonly listener: string; readonly network: string },
    everyMs: number,
  ): { readonly times: number | undefined; readonly unsaid?: number } {
    const { reason, listener, network } = who
    const times = this.#pace.happened(`${reason} ${listener} ${network}`, everyMs)
    if (times === undefined) return { times }
    const unsaid = this.#unsaid.get(listener) ?? 0
    const room = this.#roomOf(listener)
    if (room.left === 0) {
      this.#unsaid.set(listener, unsaid + 1)
      return { times: undefined }
    }
    room.left -= 1
    this.#unsaid.delete(listener)
    return { times, ...(unsaid > 0 && { unsaid }) }
  }

  #roomOf(listener: string): Room {
    const known = this.#rooms.get(listener)
    if (known !== undefined && this.#now() - known.since < MINUTE_MS) return known
    const room = { since: this.#now(), left: LINES_A_MINUTE }
    this.#rooms.set(listener, room)
    return room
  }
}
