/** Pure: what a page of somebody else may not have a browser do here (CSRF); a program that is no browser says neither header. */
import type { IncomingMessage } from 'node:http'
import { CrossdockError } from '../errors.ts'

const READING: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** Throws `denied` for a request that would change something and that a page of another origin sends. */
export function refuseForeignPages({
  method,
  headers,
}: Pick<IncomingMessage, 'method' | 'headers'>): void {
  if (READING.has(method)) return
  const site = headers['sec-fetch-site']
  const isOurs =
    site === undefined
      ? headers.origin === undefined || isOriginOf(headers.origin, headers.host)
      : site === 'same-origin' || site === 'none'
  if (isOurs) return
  throw new CrossdockError(
    'denied',
    `${method} comes from a page of another origin; use the pages of this listener, or a program that is no browser`,
    { reason: 'cross-site' },
  )
}

function isOriginOf(origin: string, host: string | undefined): boolean {
  if (!URL.canParse(origin) || host === undefined) return false
  return new URL(origin).host === host.toLowerCase()
}
