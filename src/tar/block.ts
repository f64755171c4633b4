/** One header block of a tar: POSIX.1-1988 (ustar), its star and GNU relatives and the older v7, as Go's archive/tar reads them. */
import { AmbiguousTarError, type TarTime } from './entry.ts'
import { decodeText, type Text } from './text.ts'

export const BLOCK_SIZE = 512

/**
 * Where fields are, offset and length:
 * name 0/100, mode 100/8, uid 108/8, gid 116/8, size 124/12, mtime 136/12, checksum 148/8, type 156/1, link 157/100,
 * magic 257/8, user 265/32, group 297/32, major 329/8, minor 337/8, ustar prefix 345/155,
 * star: prefix 345/131, atime 476/12, ctime 488/12, trailer 508/4; GNU: atime 345/12, ctime 357/12.
 */
const CHECKSUM = 148
const CHECKSUM_END = 156
const TYPE = 156

type Dialect = 'ustar' | 'star' | 'gnu' | 'v7'

/** The fields of a block, before extended headers change them. */
export interface Block {
  readonly type: string
  readonly name: Text
  readonly linkName: Text
  readonly userName: Text
  readonly groupName: Text
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: TarTime
  readonly atime: TarTime | undefined
  readonly ctime: TarTime | undefined
  readonly devMajor: number
  readonly devMinor: number
}

/** Throws AmbiguousTarError for a block that Go refuses. */
export function parseBlock(block: Buffer): Block {
  const raw = block.toString('latin1', 0, BLOCK_SIZE)
  checkSum(block, raw)
  const dialect = dialectOf(raw)
  const isV7 = dialect === 'v7'
  const times = timesOf(block, raw, dialect)
  const prefix = prefixOf(raw, dialect, times.isPrefix)
  const name = stringAt(raw, 0, 100)
  return {
    type: raw.charAt(TYPE),
    name: decodeText(prefix === '' ? name : `${prefix}/${name}`),
    linkName: decodeText(stringAt(raw, 157, 100)),
    userName: decodeText(isV7 ? '' : stringAt(raw, 265, 32)),
    groupName: decodeText(isV7 ? '' : stringAt(raw, 297, 32)),
    mode: numberAt(block, raw, 100, 8),
    uid: numberAt(block, raw, 108, 8),
    gid: numberAt(block, raw, 116, 8),
    size: numberAt(block, raw, 124, 12),
    mtime: { seconds: numberAt(block, raw, 136, 12), nanos: 0 },
    atime: times.atime,
    ctime: times.ctime,
    devMajor: isV7 ? 0 : numberAt(block, raw, 329, 8),
    devMinor: isV7 ? 0 : numberAt(block, raw, 337, 8),
  }
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.byteLength === 0 || (bytes[0] === 0 && equalsShifted(bytes))
}

/** True when every byte equals the one before it. */
function equalsShifted(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.compare(buffer, 1, buffer.length, 0, buffer.length - 1) === 0
}

/** The sum of all bytes with the checksum itself as spaces; some writers added signed bytes. */
function checkSum(block: Buffer, raw: string): void {
  const expected = parseOctal(raw.slice(CHECKSUM, CHECKSUM_END))
  let unsigned = 8 * 0x20
  let high = 0
  for (let i = 0; i < BLOCK_SIZE; i += 1) {
    if (i === CHECKSUM) i = CHECKSUM_END
    const byte = block[i] ?? 0
    unsigned += byte
    high += byte >> 7
  }
  if (expected !== unsigned && expected !== unsigned - 256 * high) {
    throw new AmbiguousTarError('a header block has a wrong checksum, or is none')
  }
}

function dialectOf(raw: string): Dialect {
  if (raw.startsWith('ustar\0', 257)) return raw.startsWith('tar\0', 508) ? 'star' : 'ustar'
  return raw.startsWith('ustar  \0', 257) ? 'gnu' : 'v7'
}

interface BlockTimes {
  readonly atime: TarTime | undefined
  readonly ctime: TarTime | undefined
  /** GNU only: there are no times but, by a bug of old Go writers, a ustar prefix. */
  readonly isPrefix: boolean
}

const NO_TIMES: BlockTimes = { atime: undefined, ctime: undefined, isPrefix: false }

function timesOf(block: Buffer, raw: string, dialect: Dialect): BlockTimes {
  const timeAt = (at: number): TarTime => ({ seconds: numberAt(block, raw, at, 12), nanos: 0 })
  if (dialect === 'star') return { atime: timeAt(476), ctime: timeAt(488), isPrefix: false }
  if (dialect !== 'gnu') return NO_TIMES
  try {
    return {
      atime: raw.charCodeAt(345) === 0 ? undefined : timeAt(345),
      ctime: raw.charCodeAt(357) === 0 ? undefined : timeAt(357),
      isPrefix: false,
    }
  } catch {
    return { ...NO_TIMES, isPrefix: true }
  }
}

function prefixOf(raw: string, dialect: Dialect, isGnuPrefix: boolean): string {
  if (dialect === 'ustar') return stringAt(raw, 345, 155)
  if (dialect === 'star') return stringAt(raw, 345, 131)
  if (!isGnuPrefix) return ''
  const prefix = stringAt(raw, 345, 155)
  return isAscii(prefix) ? prefix : ''
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) > 0x7f) return false
  return true
}

/** A field up to its first NUL, as Latin-1. */
function stringAt(raw: string, at: number, length: number): string {
  const end = raw.indexOf('\0', at)
  return raw.slice(at, end < 0 || end > at + length ? at + length : end)
}

function numberAt(block: Buffer, raw: string, at: number, length: number): number {
  if ((block[at] ?? 0) & 0x80) return parseBase256(block.subarray(at, at + length))
  return parseOctal(raw.slice(at, at + length))
}

/** Two's complement, big-endian, with the top bit as the mark of this form. */
function parseBase256(field: Uint8Array): number {
  const isNegative = ((field[0] ?? 0) & 0x40) !== 0
  let value = 0n
  for (const [i, byte] of field.entries()) {
    const bits = isNegative ? byte ^ 0xff : byte
    value = (value << 8n) | BigInt(i === 0 ? bits & 0x7f : bits)
  }
  return safeNumber(isNegative ? -value - 1n : value)
}

function parseOctal(field: string): number {
  const digits = stringAt(field.replace(/^[ \0]+|[ \0]+$/g, ''), 0, field.length)
  if (digits === '') return 0
  if (!/^[0-7]+$/.test(digits))
    throw new AmbiguousTarError('a header has a number that is not octal')
  return safeNumber(Number.parseInt(digits, 8))
}

/** JavaScript counts exactly to 2^53; what is beyond cannot be carried further. */
export function safeNumber(value: bigint | number): number {
  const number = Number(value)
  if (Number.isSafeInteger(number)) return number
  throw new AmbiguousTarError('a header has a number beyond 2^53')
}
