/** Pure: the few response headers that say which bytes an answer holds and when to ask again. */

export interface ContentRange {
  readonly start: number
  /** Exclusive. */
  readonly end: number
  /** `undefined`: `*`. */
  readonly total: number | undefined
}

/** RFC 9110 section 14.4, satisfied form; `undefined` for anything else. */
export function parseContentRange(header: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i.exec(header?.trim() ?? '')
  if (match === null) return undefined
  const start = Number(match[1])
  const end = Number(match[2]) + 1
  const total = match[3] === '*' ? undefined : Number(match[3])
  if (start >= end || (total !== undefined && end > total)) return undefined
  return { start, end, total }
}

/** A plain decimal that a number can hold; `undefined` for anything else. */
export function parseLength(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,15}$/.test(header) ? Number(header) : undefined
}

/** Milliseconds from a `Retry-After` in seconds or as a date; `undefined` when it is absent, malformed or negative. */
export function parseRetryAfter(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000
  const date = /^[A-Z][a-z]{2}, .{20,30} GMT$/.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs)
}
