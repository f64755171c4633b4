/** Pure: what a request's target says: its path without needless escapes (RFC 3986 section 6.2.2.2), its query, its authority. */

export interface Target {
  /** The host that an absolute target names (RFC 9112 section 3.2.2). */
  readonly authority: string | undefined
  /** Path and query, as everything behind the listener reads them. */
  readonly url: string
}

/** An absolute target means its path; which host was meant is for the listener to judge. */
export function parseTarget(target: string): Target {
  if (target.startsWith('/')) return { authority: undefined, url: plainPath(target) }
  const [whole, authority] = /^https?:\/\/([^/?#]*)/i.exec(target) ?? []
  if (whole === undefined) return { authority: undefined, url: target }
  const rest = target.slice(whole.length)
  return { authority, url: plainPath(rest.startsWith('/') ? rest : `/${rest}`) }
}

/** What may stand in a path as itself and in names, tags, digests and profiles; any other escape is none of these. */
const NEEDLESS = /^[A-Za-z0-9._~!$&'()*+,;=:@-]$/

/**
 * Once, and never more: `sha256%3Aab` is `sha256:ab`, while `%2F`, `%25` and whatever else means something by being escaped stays
 * as it is, for whoever knows what may stand there.
 */
function plainPath(url: string): string {
  const end = url.indexOf('?')
  const path = end < 0 ? url : url.slice(0, end)
  if (!path.includes('%')) return url
  const plain = path.replace(/%[0-9A-Fa-f]{2}/g, (escaped) => {
    const char = String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
    return NEEDLESS.test(char) ? char : escaped.toUpperCase()
  })
  return end < 0 ? plain : plain + url.slice(end)
}
