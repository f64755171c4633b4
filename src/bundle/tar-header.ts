/** Headers of tar archives: written as plain as POSIX ustar allows, read in every dialect that image tools write. */
import { CrossdockError } from '../errors.ts'

export const BLOCK = 512

/** Larger numbers do not fit eleven octal digits and go into a PAX header. */
const MAX_OCTAL = 8 ** 11 - 1
const MAX_NAME = 100

/*
 * ustar header, offsets and lengths:
 *   0 name 100 · 100 mode 8 · 108 uid 8 · 116 gid 8 · 124 size 12 · 136 mtime 12 · 148 checksum 8 · 156 type 1
 *   157 link name 100 · 257 "ustar\0" "00" · 345 prefix 155
 */

export interface TarHeader {
  readonly name: string
  readonly size: number
  /** `0` file, `5` folder, `1` hard link, `2` symbolic link, `x` and `g` PAX, `L` and `K` GNU long names. */
  readonly type: string
  readonly linkName: string
}

/** The same bytes for the same name and size, on any machine and at any time: no owner, no time, fixed mode. */
export function formatHeader(name: string, size: number, type: '0' | '5'): Uint8Array {
  const isLong = new TextEncoder().encode(name).byteLength > MAX_NAME
  const records = [
    ...(isLong ? [paxRecord('path', name)] : []),
    ...(size > MAX_OCTAL ? [paxRecord('size', String(size))] : []),
  ].join('')
  const header = ustar(isLong ? name.slice(-MAX_NAME) : name, size, type)
  if (records === '') return header
  const bytes = new TextEncoder().encode(records)
  const pax = ustar('PaxHeaders/0', bytes.byteLength, 'x')
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / BLOCK) * BLOCK)
  padded.set(bytes)
  return Buffer.concat([pax, padded, header])
}

function ustar(name: string, size: number, type: string): Uint8Array {
  const block = new Uint8Array(BLOCK)
  const put = (text: string, at: number) => block.set(new TextEncoder().encode(text), at)
  put(name, 0)
  put(type === '5' ? '0000755\0' : '0000644\0', 100)
  put('0000000\0', 108)
  put('0000000\0', 116)
  put(`${(size > MAX_OCTAL ? 0 : size).toString(8).padStart(11, '0')}\0`, 124)
  put('00000000000\0', 136)
  put('        ', 148)
  put(type, 156)
  put('ustar\x0000', 257)
  put(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = new TextEncoder().encode(` ${key}=${value}\n`).byteLength
  let length = rest + String(rest).length
  if (String(length).length + rest !== length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

/** `undefined` for a block of zeros, with which an archive ends. Throws `badManifest` when it is no header. */
export function parseHeader(block: Uint8Array): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  const claimed = parseNumber(block.subarray(148, 156))
  const blank = block.slice()
  blank.fill(32, 148, 156)
  if (claimed !== checksum(blank)) {
    throw new CrossdockError(
      'badManifest',
      'the archive is damaged or no tar archive: the checksum of a header does not match; make it again or copy it again',
      { reason: 'tar-header' },
    )
  }
  const isUstar = text(block.subarray(257, 262)) === 'ustar'
  const isGnu = isUstar && block[262] === 32
  const prefix = isUstar && !isGnu ? text(block.subarray(345, 500)) : ''
  const name = text(block.subarray(0, 100))
  const flag = String.fromCharCode(block[156] ?? 0)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    size: parseNumber(block.subarray(124, 136)),
    type: flag === '\0' || flag === '7' ? '0' : flag,
    linkName: text(block.subarray(157, 257)),
  }
}

/** What of a PAX header says which file it is; the rest (owners, times, attributes) is not kept. */
const PAX_KEYS: ReadonlySet<string> = new Set(['path', 'linkpath', 'size'])
const SPARSE = 'GNU.sparse.'

/** The records of an `x` header that matter here. Throws `badManifest` for a sparse file. */
export function parsePax(bytes: Uint8Array): ReadonlyMap<string, string> {
  const records = new Map<string, string>()
  let at = 0
  while (at < bytes.byteLength) {
    const space = bytes.indexOf(32, at)
    const digits = text(bytes.subarray(at, Math.max(at, space)))
    const length = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
    if (!Number.isInteger(length) || length <= space - at || at + length > bytes.byteLength) {
      throw new CrossdockError('badManifest', 'the archive is damaged: a PAX header is malformed')
    }
    const record = Buffer.from(bytes.subarray(space + 1, at + length - 1)).toString()
    const equals = record.indexOf('=')
    const key = record.slice(0, equals)
    if (key.startsWith(SPARSE)) throw sparse()
    if (PAX_KEYS.has(key)) records.set(key, record.slice(equals + 1))
    at += length
  }
  return records
}

/** Its size says nothing of the bytes that follow, and no tool writes images so. */
export function sparse(): CrossdockError {
  return new CrossdockError(
    'badManifest',
    'the archive holds a sparse file, which image archives do not; make it again without --sparse',
    { reason: 'tar-sparse' },
  )
}

/** The bytes up to the first NUL. */
export function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString()
}

/** A size in a PAX header. Throws `badManifest` for anything but plain digits. */
export function parseDecimal(digits: string): number {
  const size = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(size)) throw noNumber(digits)
  return size
}

/** Octal text, or GNU's base 256 when the first bit is set. */
function parseNumber(bytes: Uint8Array): number {
  const first = bytes[0] ?? 0
  if ((first & 0x80) === 0) {
    const digits = text(bytes).trim()
    if (!/^[0-7]*$/.test(digits)) throw noNumber(digits)
    return Number.parseInt(digits || '0', 8)
  }
  const number = bytes.reduce((sum, byte, i) => sum * 256 + (i === 0 ? byte & 0x7f : byte), 0)
  // 0xff begins a negative number.
  if (first === 0xff || !Number.isSafeInteger(number)) throw noNumber('a number of base 256')
  return number
}

function noNumber(what: string): CrossdockError {
  return new CrossdockError(
    'badManifest',
    `the archive is damaged or no tar archive: ${JSON.stringify(what.slice(0, 40))} in a header is no size; make it again or copy it again`,
    { reason: 'tar-header' },
  )
}

function checksum(block: Uint8Array): number {
  return block.reduce((sum, byte) => sum + byte, 0)
}
