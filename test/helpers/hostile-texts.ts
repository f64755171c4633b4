/** Texts that registries, images and clients may say, and what none of them may bring to a terminal, a log or a header. */
import fc from 'fast-check'

/** Controls (C0, DEL, C1), bidirectional and other format characters, line separators, what shows as nothing, halves of characters. */
export const OBEYED = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/u

const PIECES = [
  ...['a', 'ü', '漢', '😀', '"', '\\', '\\u001b', ' ', '\x1b[2J', '\x1b]0;owned\x07', '\x9b31m'],
  ...['\0', '\b', '\n', '\r', '\r\n', '\t', '\x7f', '\x85', '\u00ad', '\u061c', '\u180e'],
  ...['\u200b', '\u200e', '\u200f', '\u2028', '\u2029', '\u202a', '\u202e', '\u2066', '\u2069'],
  ...['\u3164', '\ufe0f', '\ufeff', '\ufff9', '\ud800', '\udc00', '\u{e0041}', '\u{1d173}'],
]

export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: fc.constantFrom(...PIECES), maxLength: 40 }),
  fc.string({ unit: 'binary' }),
)
