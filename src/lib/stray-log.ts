/** What the log says of clients that speak otherwise than a listener does: now and then, for they come again with each pull. */
import type { Logger } from 'pino'
import { NowAndThen } from './now-and-then.ts'

export interface StrayConnection {
  readonly kind: 'tlsToPlain' | 'plainToTls' | 'noCertificate' | 'badCertificate'
  readonly client: string | undefined
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

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

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

export function strayLog(log: Logger): (stray: StrayConnection) => void {
  const pace = new NowAndThen(() => performance.now())
  return ({ kind, client, detail, listener }) => {
    const { reason, level, text, everyMs, isOfClient } = WORDS[kind]
    const key = [reason, listener, isOfClient ? client : ''].join(' ')
    const times = pace.happened(key, everyMs)
    const fields = {
      event: 'connection_refused',
      reason,
      listener,
      client,
      ...(detail && { detail }),
    }
    if (times === undefined) log.debug(fields, text)
    else log[level]({ ...fields, times }, text)
  }
}
