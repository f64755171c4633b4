/** Extended headers of POSIX.1-2001 (PAX): records `LENGTH KEY=VALUE\n` of bytes, as Go's archive/tar reads them. */
import { safeNumber } from './block.ts'
import { AmbiguousTarError, type TarTime } from './entry.ts'

/** Values as Latin-1, which keeps every byte. */
export type PaxRecords = ReadonlyMap<string, string>

/** Throws AmbiguousTarError where Go does. A key that comes twice has its last value. */
export function parsePax(body: Buffer): PaxRecords {
  const text = body.toString('latin1')
  const records = new Map<string, string>()
  for (let at = 0; at < text.length; ) {
    const space = text.indexOf(' ', at)
    const digits = space < 0 ? '' : text.slice(at, space)
    const length = /^[0-9]{1,8}$/.test(digits) ? Number(digits) : 0
    const end = at + length
    if (length < 5 || end > text.length || end <= space + 1 || text.charAt(end - 1) !== '\n') {
      throw new AmbiguousTarError('an extended header has a record of a wrong length')
    }
    const record = text.slice(space + 1, end - 1)
    const equals = record.indexOf('=')
    const key = record.slice(0, Math.max(equals, 0))
    const value = record.slice(equals + 1)
    if (key === '' || (NAMES.has(key) ? value : key).includes('\0')) {
      throw new AmbiguousTarError('an extended header has a record without a valid key')
    }
    records.set(key, value)
    at = end
  }
  return records
}

const NAMES = new Set(['path', 'linkpath', 'uname', 'gname'])

/** A decimal number of a record. */
export function parsePaxNumber(value: string): number {
  if (!/^[+-]?[0-9]+$/.test(value)) {
    throw new AmbiguousTarError('an extended header has a number that is not decimal')
  }
  return safeNumber(BigInt(value.replace(/^\+/, '')))
}

/** Decimal seconds with any number of digits behind the point, of which nine count. */
export function parsePaxTime(value: string): TarTime {
  const point = value.indexOf('.')
  const seconds = parsePaxNumber(point < 0 ? value : value.slice(0, point))
  const fraction = point < 0 ? '' : value.slice(point + 1)
  if (!/^[0-9]*$/.test(fraction)) {
    throw new AmbiguousTarError('an extended header has a time that is not a number')
  }
  const nanos = Number(fraction.slice(0, 9).padEnd(9, '0'))
  if (nanos === 0 || !value.startsWith('-')) return { seconds, nanos }
  return { seconds: seconds - 1, nanos: 1_000_000_000 - nanos }
}
