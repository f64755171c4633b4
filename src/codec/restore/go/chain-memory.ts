/** What the loops of `chain-loop.ts` have in memory, and the numbers that both sides see. */
import { and, type Expression, number, shiftLeft } from '../../../lib/wasm-expressions.ts'
import { globals } from '../../../lib/wasm-statements.ts'

export const WINDOW_SIZE = 32 * 1024
export const MIN_MATCH = 4
export const MAX_MATCH = 258
/** A length that says that there is no match. */
export const NO_MATCH = MIN_MATCH - 1
/** What the encoder holds: it drops the older half when so little of the rest is new, and more follows. */
export const BUFFER_SIZE = 2 * WINDOW_SIZE
export const MARGIN = MIN_MATCH + MAX_MATCH

export const HASH_BITS = 17
export const LONG_HASH_BITS = 16

/**
 * Places by hash of four bytes, and of six. By place: how far before it the one with the same hash of four is (16 bits, enough for
 * all that is in reach), and how many of that hash there were; how far before it the one with the same hash of six is. Then tokens,
 * and the bytes.
 */
export const HEADS = 0
export const LONG_HEADS: number = HEADS + (4 << HASH_BITS)
export const LINKS: number = LONG_HEADS + (4 << LONG_HASH_BITS)
export const LONG_LINKS: number = LINKS + 4 * WINDOW_SIZE
export const TOKENS: number = LONG_LINKS + 2 * WINDOW_SIZE
export const MAX_TOKENS = 16_384
export const BYTES: number = TOKENS + 4 * MAX_TOKENS

/** As far as 16 bits go. */
export const FAR = 0xffff

/** Functions, by their index. */
export const RUN = 0
export const SEARCH = 1
export const ENTER = 2

const NAMES = [
  // The level's parameters.
  'lazy',
  'nice',
  'chain',
  // Index where the next token begins; how many are done.
  'at',
  'count',
  // Index where the encoder's buffer begins; what the tables hold of a place, less its index.
  'base',
  'shift',
  // Index before which not every place is known by six bytes: behind a flush.
  'shortUntil',
  // The match at the next token's place, if it has been looked for already: when it was the next byte.
  'isSearched',
  'length',
  'distance',
  // Of the match that was found last.
  'found',
  // The length of the next byte's match, and the token that was predicted, where another was given; whether that is in place now.
  'next',
  'predicted',
  'isGiven',
] as const

export type ChainNumber = (typeof NAMES)[number]

export const CHAIN_NUMBERS: readonly ChainNumber[] = NAMES
export const chainGlobals = globals(...NAMES)

/** Where LINKS and LONG_LINKS have a place. */
export function linkOf(place: Expression): Expression {
  return shiftLeft(and(place, number(WINDOW_SIZE - 1)), number(2))
}

export function longLinkOf(place: Expression): Expression {
  return shiftLeft(and(place, number(WINDOW_SIZE - 1)), number(1))
}
