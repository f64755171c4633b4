/** What the log says of a store that is away, once at its beginning and once at its end. */
import type { Logger } from 'pino'

interface Away {
  readonly part: 'catalog' | 'blobs'
  readonly where: string
  /** Ms since 1970. */
  readonly since: number
  readonly message: string
}

/** What still works. */
const MEANWHILE: Readonly<Record<Away['part'], string>> = {
  catalog:
    'meanwhile what was asked of this server before is served as before; what was not is answered 503, and nothing is fetched, converted or collected; /readyz says 503',
  blobs:
    'meanwhile what store.localCache holds is served; what it lacks is answered 503, and nothing is fetched, converted or collected; /readyz says 503',
}

export function tellStoreAway(log: Logger, { part, where, since, message }: Away): void {
  const fields = { event: 'store_away', part, where, since: new Date(since).toISOString() }
  log.error(fields, `${message}; ${MEANWHILE[part]}`)
}

export function tellStoreBack(
  log: Logger,
  { part, where, since, seconds }: Omit<Away, 'message'> & { readonly seconds: number },
): void {
  const fields = { event: 'store_back', part, where, since: new Date(since).toISOString() }
  const what = part === 'catalog' ? 'the catalog' : 'the store of blobs'
  const rounded = Math.round(seconds * 10) / 10
  log.warn({ ...fields, seconds: rounded }, `${what} answers again, after ${rounded} s`)
}
