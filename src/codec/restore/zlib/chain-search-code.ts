/**
 * How `chain-loop.ts` searches chains: fewer candidates than zlib does, to the same end. Only those
 * whose first four bytes are right can be longer than three, and of each is known how many zlib would have looked at before.
 */
import {
  add,
  and,
  choose,
  exclusiveOr,
  isAtLeast,
  isAtMost,
  isEqual,
  isLess,
  isMore,
  isZero,
  load,
  loadEight,
  loadTwo,
  number,
  or,
  shiftRight,
  smaller,
  subtract,
  type Expression,
} from '../../../lib/wasm-expressions.ts'
import {
  during,
  give,
  leave,
  leaveIf,
  locals,
  when,
  type Statement,
} from '../../../lib/wasm-statements.ts'
import { long, OP } from '../../../lib/wasm.ts'
import {
  BYTES,
  before,
  indexOf,
  linkOf,
  LONG,
  LONGEST,
  MAX_DISTANCE,
  MAX_MATCH,
  MIN_MATCH,
  NO_MATCH,
  ORDINAL_BITS,
  ORDINAL_MASK,
  ordinalOf,
  shifted,
  chainGlobals as g,
  type Link,
} from './chain-memory.ts'

/** A match of the least length is worth nothing beyond. */
const TOO_FAR = 4096

const v = locals(
  ...(['at', 'least', 'end'] as const),
  ...(['place', 'gap', 'chain', 'floor', 'best', 'most', 'enough', 'left'] as const),
  ...(['tail', 'word', 'candidate', 'from', 'size', 'ordinal', 'difference'] as const),
)
export const SEARCH_INTS = 14
export const SEARCH_LONGS = 1

/**
 * Most candidates have no more than four or five bytes in common, so those with the same six are looked at first, and the others only
 * if there is none.
 *
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
    v.gap.set(loadTwo(...linkOf(v.place.value, 'short'))),
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
    v.most.set(smaller(subtract(v.end.value, v.at.value), number(MAX_MATCH))),
    v.enough.set(smaller(g.nice.value, v.most.value)),
    v.ordinal.set(ordinalOf(v.place.value)),
    when(isLess(v.at.value, g.longestNext.value), searchLongest()),
    when(isLess(v.at.value, g.longNext.value), searchLong('long', LONG)),
    when(isAtLeast(v.best.value, number(MIN_MATCH)), [give(v.best.value)]),
    ...searchShort(),
    number(NO_MATCH),
  ]
}

/** Gives what is as long as the longest hash; if there is none, the first that is a byte shorter is enough for what follows. */
function searchLongest(): Statement[] {
  const below = larger(v.least.value, number(LONGEST - 1))
  return [
    v.best.set(below),
    ...searchLong('longest', LONGEST),
    when(isMore(v.best.value, below), [give(v.best.value)]),
    when(isAtLeast(v.least.value, number(LONGEST - 1)), [give(v.least.value)]),
    v.best.set(v.least.value),
    v.enough.set(smaller(v.enough.value, number(LONGEST - 1))),
  ]
}

/** Sets `best` and `found` to the match that is longer than `best`, and at least `size`. */
function searchLong(kind: Link, size: number): Statement[] {
  return [
    v.left.set(v.chain.value),
    v.tail.set(subtract(larger(v.best.value, number(MIN_MATCH)), number(MIN_MATCH))),
    v.word.set(load(add(v.at.value, v.tail.value), BYTES)),
    v.candidate.set(before(v.place.value, kind)),
    during(isMore(v.candidate.value, v.floor.value), [
      v.left.set(subtract(v.left.value, number(1))),
      when(isLess(v.left.value, number(0)), [when(isBeyond(), [leave(2)])]),
      v.from.set(indexOf(v.candidate.value)),
      when(isEqual(load(add(v.from.value, v.tail.value), BYTES), v.word.value), [
        ...measure(),
        when(and(isMore(v.size.value, v.best.value), isAtLeast(v.size.value, number(size))), [
          when(isBeyond(), [leave(3)]),
          v.best.set(v.size.value),
          g.found.set(v.candidate.value),
          when(isAtLeast(v.size.value, v.enough.value), [leave(3)]),
          v.tail.set(subtract(v.size.value, number(MIN_MATCH))),
          v.word.set(load(add(v.at.value, v.tail.value), BYTES)),
        ]),
      ]),
      v.candidate.set(before(v.candidate.value, kind)),
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

function larger(a: Expression, b: Expression): Expression {
  return choose(isMore(a, b), a, b)
}
