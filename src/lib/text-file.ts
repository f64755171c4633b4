/** The text of a file that somebody else's editor or shell wrote: UTF-8, or UTF-16 where its first bytes say so. */
import { CrossdockError } from '../errors.ts'

const BYTE_ORDER_MARKS = [
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
] as const

/** Throws `requestInvalid` for what is no text. */
export function decodeTextFile(bytes: Uint8Array): string {
  const found = BYTE_ORDER_MARKS.find(({ mark }) => mark.every((byte, i) => bytes[i] === byte))
  const encoding = found?.encoding ?? 'utf-8'
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(bytes)
    if (!text.includes('\0')) return text
  } catch {
    // Said below.
  }
  throw new CrossdockError(
    'requestInvalid',
    `it is no ${encoding.toUpperCase()} text; save it as UTF-8`,
    { reason: 'no-text' },
  )
}
