/** Kinds of values that keys of the configuration have: what is accepted, and what is said about anything else. */
import { z } from 'zod'
import { formatLocation, parseLocation } from '../oci/location.ts'
import { parseAddressRange } from './address.ts'
import { parseDuration, parseSize } from './units.ts'

/** Timers of Node end at once beyond 2^31 ms. */
const LONGEST_TIMER_MS = 24 * 86_400_000
const LONGEST_MS = 3_650 * 86_400_000

export function text(what: string) {
  return z.string({ error: `must be ${what}` }).min(1, { error: `must be ${what}, not empty` })
}

export function matching(pattern: RegExp, what: string) {
  return z.string({ error: `must be ${what}` }).regex(pattern, { error: `must be ${what}` })
}

export function profileRef() {
  return text('the name of a profile')
}

export function repositoryGlob() {
  return matching(
    /^[a-z0-9*?[][^\s]*$/,
    'a glob over UPSTREAM/REPOSITORY, e.g. docker.io/library/*',
  )
}

export function file() {
  return text('the path of a file or folder').meta({ path: true })
}

/** Only what starts like a path is one, anything else is a reference. */
export function record() {
  return text('a file (./FILE or /FILE) or an image reference').meta({ path: 'dotted' })
}

export function count(byDefault: number) {
  return z.number().int().min(1).max(1_000_000).default(byDefault)
}

const workersError = { error: 'must be auto or a whole number from 1 to 64' }

export const workerCount = z.union(
  [z.literal('auto'), z.number().int(workersError).min(1, workersError).max(64, workersError)],
  workersError,
)

export function checked<T extends object | string>(
  what: string,
  parse: (text: string) => T | undefined,
) {
  return z.string({ error: `must be ${what}` }).transform((value, context): T => {
    const parsed = parse(value)
    if (parsed !== undefined) return parsed
    context.addIssue({ code: 'custom', message: `must be ${what}` })
    return z.NEVER
  })
}

/** A text that says where something lies. */
export function place<T extends object>(
  parse: (text: string) => T | { readonly problem: string },
  byDefault: string,
) {
  return z
    .string({ error: 'must be a text' })
    .transform((value, context): Exclude<T, { readonly problem: string }> => {
      const parsed = parse(value)
      if (!isProblem(parsed)) return parsed as Exclude<T, { readonly problem: string }>
      context.addIssue({ code: 'custom', message: parsed.problem })
      return z.NEVER
    })
    .prefault(byDefault)
}

function isProblem(value: object): value is { readonly problem: string } {
  return 'problem' in value
}

export function addressRange() {
  const what = 'an address or network such as 10.0.0.7 or 10.0.0.0/8'
  return checked(what, (text) => parseAddressRange(text) && text)
}

export function size(byDefault: string) {
  return givenSize().prefault(byDefault).meta({ unit: 'bytes' })
}

/** The same without a default. */
export function givenSize() {
  const error = 'must be a size such as 10GiB or 500MB, or a number of bytes'
  return z
    .union([z.number().int({ error }).nonnegative({ error }), z.string()], { error })
    .transform((value, context) => {
      const bytes = typeof value === 'number' ? value : parseSize(value)
      if (bytes !== undefined) return bytes
      context.addIssue({ code: 'custom', message: error })
      return z.NEVER
    })
    .meta({ unit: 'bytes' })
}

export function duration(byDefault: string, longestMs: number = LONGEST_MS) {
  const error = 'must be a duration such as 30s, 15m, 1h30m or 7d'
  return z
    .string({ error })
    .transform((value, context) => {
      const ms = parseDuration(value)
      if (ms !== undefined && ms <= longestMs) return ms
      const most = ms === undefined ? '' : ` of at most ${longestMs / 86_400_000}d`
      context.addIssue({ code: 'custom', message: error + most })
      return z.NEVER
    })
    .prefault(byDefault)
    .meta({ unit: 'ms' })
}

export function timer(byDefault: string) {
  return duration(byDefault, LONGEST_TIMER_MS)
}

export function parseUpstreamUrl(value: string): string | undefined {
  const location = parseLocation(value)
  return location && formatLocation(location)
}

/** YAML 1.2 reads `on` as a word. */
export const onOff = z
  .union([z.boolean(), z.enum(['on', 'off'])], { error: 'must be on or off' })
  .transform((value) => value === true || value === 'on')
