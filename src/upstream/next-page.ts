/**
 * Pure: the next page of a list, as a Link header names it (RFC 8288, distribution-spec "Listing Tags").
 * Registries behind another name put that one into it, and those below a path leave the path out. So of a link to the same
 * list only the query counts, which is where cursors are; a link to anything else is no page that we know how to ask for.
 */
import { CrossdockError } from '../errors.ts'

/** Longer ones are no link to a page. */
const MAX_LENGTH = 8_192
const LINK = /<([^<>]*)>((?:\s*;\s*[^\s;,=]+(?:\s*=\s*(?:"[^"]*"|[^\s;,"]*))?)*)/g
const REL = /;\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]*))/gi

/** The query of the next page of the list at `url`, `''` when it has none; `undefined`: this is the last page. Throws for a page that cannot be asked for, since a list must not end early. */
export function nextPage(
  header: string | undefined,
  url: URL,
  list: string,
  what: string,
): URLSearchParams | undefined {
  if (header === undefined) return undefined
  if (header.length > MAX_LENGTH) throw notFollowed('a header that is too long', url, what)
  for (const [, target = '', params = ''] of header.matchAll(LINK)) {
    if (!isNext(params)) continue
    const next = URL.canParse(target, url.href) ? new URL(target, url) : undefined
    if (next === undefined || !isSameList(next, list)) {
      throw notFollowed(JSON.stringify(target.slice(0, 255)), url, what)
    }
    return next.searchParams
  }
  return undefined
}

function isNext(params: string): boolean {
  return [...params.matchAll(REL)].some(([, quoted, plain]) =>
    (quoted ?? plain ?? '').toLowerCase().split(/\s+/).includes('next'),
  )
}

/** Whatever host and folder the registry believes to be at. */
function isSameList(next: URL, list: string): boolean {
  try {
    return decodeURIComponent(next.pathname).endsWith(`/${list}`)
  } catch {
    return false
  }
}

function notFollowed(target: string, url: URL, what: string): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `${what}: ${url.host} names ${target} as the next page, where no page of this list can be; the list would be incomplete, check that registry`,
    { reason: 'next-page' },
  )
}
