/** Conditions on what the client has already (RFC 9110 section 13.1.2). */

/** True when `If-None-Match` names it, weakly or strongly. */
export function matchesEtag(condition: string | undefined, etag: string): boolean {
  if (condition === undefined) return false
  return condition
    .split(',')
    .map((one) => one.trim().replace(/^W\//, ''))
    .some((one) => one === '*' || one === etag)
}
