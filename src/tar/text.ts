/** Names in a tar are bytes; nearly all are ASCII, some UTF-8, and few neither. */

export interface Text {
  readonly value: string
  /** False when the bytes are not UTF-8; `value` then has replacement characters. */
  readonly isUtf8: boolean
  /** The bytes, one character (U+0000 to U+00FF) each. */
  readonly latin1: string
}

const EMPTY: Text = { value: '', isUtf8: true, latin1: '' }
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const NON_ASCII = /[\x80-\xff]/

/** Text out of bytes that were read as Latin-1. */
export function decodeText(latin1: string): Text {
  if (latin1 === '') return EMPTY
  if (!NON_ASCII.test(latin1)) return { value: latin1, isUtf8: true, latin1 }
  const bytes = Buffer.from(latin1, 'latin1')
  try {
    return { value: UTF8.decode(bytes), isUtf8: true, latin1 }
  } catch {
    return { value: bytes.toString('utf8'), isUtf8: false, latin1 }
  }
}
