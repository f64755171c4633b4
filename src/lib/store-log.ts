/** What the log says of a store that is away, once at its beginning and once at its end. */
import type { Logger } from 'pino'

interface Away {
  readonly part: 'catalog' | 'blobs'
  readonly where: string
  /** Ms since 1970. */
  readonly since: number
  readonly message: string
  /** What of it cannot be used. */
  readonly fails: 'all' | 'some' | 'writes'
}

interface Back extends Pick<Away, 'part' | 'where' | 'since'> {
  readonly seconds: number
  /** For how long nothing has failed, where what had failed was not seen to work since. */
  readonly untriedSeconds: number | undefined
}

/** What still works. */
const MEANWHILE: Readonly<Record<Away['part'], Readonly<Record<Away['fails'], string>>>> = {
  catalog: {
    all: 'meanwhile what was asked of this server before is served as before; what was not is answered 503, and nothing is fetched, converted or collected; /readyz says 503',
    some: 'meanwhile it answers, but not all that is asked; what was asked of this server before is served as before',
    writes:
      'meanwhile it answers, but takes nothing new; what was asked of this server before is served as before',
  },
  blobs: {
    all: 'meanwhile what store.localCache holds is served; what it lacks is answered 503, and nothing is fetched, converted or collected; /readyz says 503',
    some: 'meanwhile it answers, but not all that is asked: what store.localCache holds is served, and what cannot be read there is answered 503; /readyz says 200, for it answers that',
    writes:
      'meanwhile nothing new is stored: what is cached or lies there is served, and what would have to be fetched or converted is answered 503; /readyz says 200, for it can be read',
  },
}

export function tellStoreAway(log: Logger, { part, where, since, message, fails }: Away): void {
  const fields = { event: 'store_away', part, where, since: new Date(since).toISOString(), fails }
  log.error(fields, `${message}; ${MEANWHILE[part][fails]}`)
}

export function tellStoreBack(
  log: Logger,
  { part, where, since, seconds, untriedSeconds }: Back,
): void {
  const fields = { event: 'store_back', part, where, since: new Date(since).toISOString() }
  const what = part === 'catalog' ? 'the catalog' : 'the store of blobs'
  const length = rounded(seconds)
  const how =
    untriedSeconds === undefined
      ? `answers again, after ${length} s`
      : `answers, and nothing has failed there for ${rounded(untriedSeconds)} s; what had failed was not seen to work since`
  log.warn({ ...fields, seconds: length }, `${what} ${how}`)
}

function rounded(seconds: number): number {
  return Math.round(seconds * 10) / 10
}
