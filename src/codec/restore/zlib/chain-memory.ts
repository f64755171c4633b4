/** What the loops of `chain-loop.ts` have in memory, and the numbers that both sides see. */
import {
  add,
  and,
  type Expression,
  load,
  loadTwo,
  number,
  shiftLeft,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import { globals } from '../../../lib/wasm-statements.ts'

export const HASH_SIZE: number = 1 << 15
export const WINDOW_SIZE = 32_768
export const MIN_MATCH = 3
export const MAX_MATCH = 258
/** A length that says that there is no match. */
export const NO_MATCH: number = MIN_MATCH - 1
export const MAX_DISTANCE: number = WINDOW_SIZE - MAX_MATCH - MIN_MATCH - 1
/** Bytes that the second hash is of, and the third. */
export const LONG = 4
export const LONGEST = 6
export const LONG_HASH_BITS = 16

/**
 * By hash, eight bytes: where it occurred last, and how many places had it. By place in the window, eight bytes: its hash and how many of
 * it there were up to it; how far before it the one with the same hash is; the same of the longer hash. Last places by the longer hash.
 * By place: how far before it the one with the same longest hash is; last places by the longest. Tokens, and the bytes. Places are indices and `shift`.
 */
export const HEADS = 0
export const PLACES: number = HEADS + 8 * HASH_SIZE
export const LONG_HEADS: number = PLACES + 8 * WINDOW_SIZE
const LONGEST_LINKS = LONG_HEADS + (4 << LONG_HASH_BITS)
export const LONGEST_HEADS: number = LONGEST_LINKS + 2 * WINDOW_SIZE
export const TOKENS: number = LONGEST_HEADS + (4 << LONG_HASH_BITS)
export const MAX_TOKENS = 32_768
export const BYTES: number = TOKENS + 4 * MAX_TOKENS

export const COUNTS: number = HEADS + 4
const LINKS = PLACES + 4
const LONG_LINKS = PLACES + 6
/** As far as 16 bits go. */
export const FAR = 0xffff

/** Of an ordinal: more than there are places in the window, so that a difference is right though the count runs over. */
export const ORDINAL_BITS = 17
export const ORDINAL_MASK: number = (1 << ORDINAL_BITS) - 1

/** Functions, by their index. */
export const INSERT = 1
export const SEARCH = 2

const NAMES = [
  // The level's parameters, and whether the hash is of four bytes.
  ...(['good', 'lazy', 'nice', 'chain', 'isOfFour'] as const),
  // Index where the next token begins; how many are done.
  ...(['at', 'count'] as const),
  // A place, less its index. Nothing at or before the place `floor` can be matched: zlib takes position 0 for none.
  ...(['shift', 'floor'] as const),
  // The first indices that are in no chain yet.
  ...(['next', 'longNext', 'longestNext'] as const),
  // Whether the match at the next token's place was looked for already; its length and its place.
  ...(['isPending', 'length', 'match'] as const),
  // Place of the match that was found last.
  'found',
  // The token that was predicted, where another was given; whether that is in place now.
  ...(['predicted', 'isGiven'] as const),
] as const

export type ChainNumber = (typeof NAMES)[number]

export const CHAIN_NUMBERS: readonly ChainNumber[] = NAMES
export const chainGlobals = globals(...NAMES)

/** Where PLACES has a place, from its address on. */
export function slotOf(place: Expression): Expression {
  return shiftLeft(and(place, number(WINDOW_SIZE - 1)), number(3))
}

export function ordinalOf(place: Expression): Expression {
  return load(slotOf(place), PLACES)
}

export type Link = 'short' | 'long' | 'longest'

/** Where it stands how far before a place the one with the same hash is. */
export function linkOf(place: Expression, link: Link): readonly [Expression, number] {
  if (link === 'short') return [slotOf(place), LINKS]
  if (link === 'long') return [slotOf(place), LONG_LINKS]
  return [shiftLeft(and(place, number(WINDOW_SIZE - 1)), number(1)), LONGEST_LINKS]
}

/** The place before it with the same hash; far off where there is none. */
export function before(place: Expression, link: Link): Expression {
  return subtract(place, loadTwo(...linkOf(place, link)))
}

export const shifted = (index: Expression) => add(index, chainGlobals.shift.value)
export const indexOf = (place: Expression) => subtract(place, chainGlobals.shift.value)
