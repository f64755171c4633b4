/**
 * How `chain-loop.ts` puts places into chains, and searches them: fewer candidates than zlib does, to the same end. Only those
 * whose first four bytes are right can be longer than three, and of each is known how many zlib would have looked at before.
 */
import {
  add,
  and,
  choose,
  exclusiveOr,
  type Expression,
  isAtLeast,
  isAtMost,
  isEqual,
  isLess,
  isMore,
  isZero,
  load,
  loadEight,
  loadTwo,
  multiply,
  number,
  or,
  shiftLeft,
  shiftRight,
  smaller,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import {
  during,
  either,
  give,
  leave,
  leaveIf,
  locals,
  type Statement,
  store,
  storeTwo,
  when,
} from '../../../lib/wasm-statements.ts'
import { long, OP } from '../../../lib/wasm.ts'
import {
  BYTES,
  before,
  chainGlobals as g,
  COUNTS,
  FAR,
  HASH_SIZE,
  HEADS,
  indexOf,
  LINK,
  LONG,
  LONG_HASH_BITS,
  LONG_HEADS,
  MAX_DISTANCE,
  MAX_MATCH,
  MIN_MATCH,
  NO_MATCH,
  ORDINAL_BITS,
  ordinalOf,
  PLACES,
  shifted,
  slotOf,
} from './chain-memory.ts'

const FOUR_FACTOR = 66_521
/** Ours: only zlib's own hash decides what zlib finds. */
const LONG_FACTOR = 0x9e37_79b1
const ORDINAL_MASK = (1 << ORDINAL_BITS) - 1
/** A match of the least length is worth nothing beyond. */
const TOO_FAR = 4096

/** `insert(at, end)`: puts all places into their chains up to `at`, but those of which not enough bytes are there yet. */
export function insertCode(): Statement[] {
  const v = locals('at', 'end', 'next', 'last', 'word', 'place', 'entry', 'count', 'slot')
  const oneMore = v.next.set(add(v.next.value, number(1)))
  const link = (heads: number, kind: keyof typeof LINK) => [
    storeTwo(
      v.slot.value,
      LINK[kind],
      smaller(subtract(v.place.value, load(v.entry.value, heads)), number(FAR)),
    ),
    store(v.entry.value, heads, v.place.value),
  ]
  const stand = [v.place.set(shifted(v.next.value)), v.slot.set(slotOf(v.place.value))]
  return [
    v.next.set(g.next.value),
    v.last.set(smaller(v.at.value, subtract(v.end.value, number(MIN_MATCH)))),
    during(isAtMost(v.next.value, v.last.value), [
      v.word.set(load(v.next.value, BYTES)),
      // The byte behind the end is of no meaning; Chromium's zlib mostly finds a 0 there.
      when(isMore(add(v.next.value, number(4)), v.end.value), [
        v.word.set(and(v.word.value, number(0xff_ffff))),
      ]),
      ...stand,
      either(
        g.isOfFour.value,
        [v.entry.set(hashOfFour(v.word.value))],
        [v.entry.set(hashOfThree(v.word.value))],
      ),
      v.word.set(shiftLeft(v.entry.value, number(ORDINAL_BITS))),
      v.entry.set(shiftLeft(v.entry.value, number(3))),
      ...link(HEADS, 'short'),
      v.count.set(add(load(v.entry.value, COUNTS), number(1))),
      store(v.entry.value, COUNTS, v.count.value),
      store(v.slot.value, PLACES, or(v.word.value, and(v.count.value, number(ORDINAL_MASK)))),
      oneMore,
    ]),
    g.next.set(v.next.value),
    v.next.set(g.longNext.value),
    v.last.set(smaller(v.at.value, subtract(v.end.value, number(LONG)))),
    during(isAtMost(v.next.value, v.last.value), [
      ...stand,
      v.entry.set(longEntryOf(load(v.next.value, BYTES))),
      ...link(LONG_HEADS, 'long'),
      oneMore,
    ]),
    g.longNext.set(v.next.value),
    number(0),
  ]
}
export const INSERT_INTS = 7

const v = locals(
  ...(['at', 'least', 'end'] as const),
  ...(['place', 'gap', 'chain', 'floor', 'best', 'most', 'enough', 'left'] as const),
  ...(['tail', 'word', 'candidate', 'from', 'size', 'ordinal', 'difference'] as const),
)
export const SEARCH_INTS = 14
export const SEARCH_LONGS = 1

/**
 * `search(at, least, end)`: the length of the best match at `at`, which is in its chain, if it is longer than `least`; else NO_MATCH or
 * `least`. Sets `found`.
 */
export function searchCode(): Statement[] {
  const reach = choose(
    isEqual(v.gap.value, number(MAX_DISTANCE)),
    number(MAX_DISTANCE + 1),
    number(MAX_DISTANCE),
  )
  return [
    when(isAtMost(g.next.value, v.at.value), [give(number(NO_MATCH))]),
    v.place.set(shifted(v.at.value)),
    v.gap.set(loadTwo(slotOf(v.place.value), LINK.short)),
    when(
      or(
        isMore(v.gap.value, number(MAX_DISTANCE)),
        isAtMost(subtract(v.place.value, v.gap.value), g.floor.value),
      ),
      [give(number(NO_MATCH))],
    ),
    v.chain.set(g.chain.value),
    when(isAtLeast(v.least.value, g.good.value), [
      v.chain.set(shiftRight(g.chain.value, number(2))),
    ]),
    // Only the first candidate may be at the greatest distance; there is none behind it that may be nearer.
    v.floor.set(larger(g.floor.value, subtract(v.place.value, reach))),
    v.best.set(v.least.value),
    when(isLess(v.at.value, g.longNext.value), searchLong()),
    when(isAtLeast(v.best.value, number(MIN_MATCH)), [give(v.best.value)]),
    ...searchShort(),
    number(NO_MATCH),
  ]
}

function searchLong(): Statement[] {
  return [
    v.ordinal.set(ordinalOf(v.place.value)),
    v.most.set(smaller(subtract(v.end.value, v.at.value), number(MAX_MATCH))),
    v.enough.set(smaller(g.nice.value, v.most.value)),
    v.left.set(v.chain.value),
    v.tail.set(subtract(larger(v.least.value, number(MIN_MATCH)), number(MIN_MATCH))),
    v.word.set(load(add(v.at.value, v.tail.value), BYTES)),
    v.candidate.set(before(v.place.value, 'long')),
    during(isMore(v.candidate.value, v.floor.value), [
      v.left.set(subtract(v.left.value, number(1))),
      when(isLess(v.left.value, number(0)), [when(isBeyond(), [leave(2)])]),
      v.from.set(indexOf(v.candidate.value)),
      when(isEqual(load(add(v.from.value, v.tail.value), BYTES), v.word.value), [
        ...measure(),
        when(and(isMore(v.size.value, v.best.value), isAtLeast(v.size.value, number(LONG))), [
          when(isBeyond(), [leave(3)]),
          v.best.set(v.size.value),
          g.found.set(v.candidate.value),
          when(isAtLeast(v.size.value, v.enough.value), [leave(3)]),
          v.tail.set(subtract(v.size.value, number(MIN_MATCH))),
          v.word.set(load(add(v.at.value, v.tail.value), BYTES)),
        ]),
      ]),
      v.candidate.set(before(v.candidate.value, 'long')),
    ]),
  ]
}

/** A match of the least length, where there is no longer one. */
function searchShort(): Statement[] {
  const differ = exclusiveOr(load(indexOf(v.candidate.value), BYTES), v.word.value)
  return [
    v.floor.set(larger(v.floor.value, subtract(v.place.value, number(TOO_FAR + 1)))),
    v.word.set(load(v.at.value, BYTES)),
    v.left.set(v.chain.value),
    v.candidate.set(subtract(v.place.value, v.gap.value)),
    during(and(isMore(v.candidate.value, v.floor.value), isMore(v.left.value, number(0))), [
      when(isZero(and(differ, number(0xff_ffff))), [
        g.found.set(v.candidate.value),
        give(number(MIN_MATCH)),
      ]),
      v.candidate.set(before(v.candidate.value, 'short')),
      v.left.set(subtract(v.left.value, number(1))),
    ]),
  ]
}

/** Sets `size` to how much is alike at `from` and `at`. */
function measure(): Statement[] {
  return [
    v.size.set(number(0)),
    during(isLess(v.size.value, v.most.value), [
      v.difference.set([
        ...loadEight(add(v.at.value, v.size.value), BYTES),
        ...loadEight(add(v.from.value, v.size.value), BYTES),
        OP.XOR_LONG,
      ]),
      // All 64 bits are zero where the bytes are alike: eight bytes.
      v.size.set(
        add(
          v.size.value,
          shiftRight([...v.difference.value, OP.TRAILING_ZEROS_LONG, OP.WRAP], number(3)),
        ),
      ),
      leaveIf([...v.difference.value, ...long(0), OP.NE_LONG]),
    ]),
    v.size.set(smaller(v.size.value, v.most.value)),
  ]
}

/** Whether zlib would have given up before it came to the candidate. False where it is in another chain. */
function isBeyond(): Expression {
  const other = ordinalOf(v.candidate.value)
  return and(
    isZero(shiftRight(exclusiveOr(v.ordinal.value, other), number(ORDINAL_BITS))),
    isMore(and(subtract(v.ordinal.value, other), number(ORDINAL_MASK)), v.chain.value),
  )
}

function hashOfThree(word: Expression): Expression {
  const upper = shiftLeft(word, number(10))
  const middle = and(shiftRight(word, number(3)), number(0x1fe0))
  const lower = and(shiftRight(word, number(16)), number(0xff))
  return and(exclusiveOr(exclusiveOr(upper, middle), lower), number(HASH_SIZE - 1))
}

function hashOfFour(word: Expression): Expression {
  const product = add(multiply(word, number(FOUR_FACTOR)), number(FOUR_FACTOR))
  return and(shiftRight(product, number(16)), number(HASH_SIZE - 1))
}

/** Where LONG_HEADS has the word. */
function longEntryOf(word: Expression): Expression {
  const hash = shiftRight(multiply(word, number(LONG_FACTOR)), number(32 - LONG_HASH_BITS))
  return shiftLeft(hash, number(2))
}

function larger(a: Expression, b: Expression): Expression {
  return choose(isMore(a, b), a, b)
}
