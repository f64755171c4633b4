/** The search of `chain-loop.ts`: enters a place, and looks for its match. */
import {
  add,
  and,
  choose,
  type Expression,
  isAtLeast,
  isAtMost,
  isEqual,
  isLess,
  isMore,
  load,
  loadEight,
  loadTwo,
  multiply,
  number,
  or,
  rotateLeft,
  shiftLeft,
  shiftRight,
  smaller,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import {
  during,
  give,
  invoke,
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
  BUFFER_SIZE,
  BYTES,
  chainGlobals as g,
  ENTER,
  FAR,
  HASH_BITS,
  HEADS,
  LINKS,
  LONG_HASH_BITS,
  LONG_HEADS,
  LONG_LINKS,
  linkOf,
  longLinkOf,
  MARGIN,
  MAX_MATCH,
  MIN_MATCH,
  NO_MATCH,
  WINDOW_SIZE,
} from './chain-memory.ts'

const HASH_FACTOR = 0x1e35a7bd
/** Ours: only Go's hash decides what Go finds. */
const LONG_HASH_FACTOR = 0x9e37_79b9_7f4a_7c15n
/** Bytes that the longer hash is of. */
const LONG = 6
/** How far back a match of MIN_MATCH is worth it. */
const NEAR = 4096

/** `enter(at, end)`: puts the place into the tables; returns the place before it with the same hash of four bytes. */
export function enterCode(): Statement[] {
  const v = locals('at', 'end', 'place', 'entry', 'before', 'longBefore')
  return [
    v.place.set(add(v.at.value, g.shift.value)),
    v.entry.set(load(v.at.value, BYTES)),
    v.entry.set(entryOf(v.entry.value)),
    v.before.set(load(v.entry.value, HEADS)),
    store(
      linkOf(v.place.value),
      LINKS,
      or(
        smaller(subtract(v.place.value, v.before.value), number(FAR)),
        shiftLeft(add(ordinalOf(v.before.value), number(1)), number(16)),
      ),
    ),
    store(v.entry.value, HEADS, v.place.value),
    when(isAtMost(add(v.at.value, number(LONG)), v.end.value), [
      v.entry.set(longEntryOf(v.at.value)),
      v.longBefore.set(load(v.entry.value, LONG_HEADS)),
      storeTwo(
        longLinkOf(v.place.value),
        LONG_LINKS,
        smaller(subtract(v.place.value, v.longBefore.value), number(FAR)),
      ),
      store(v.entry.value, LONG_HEADS, v.place.value),
    ]),
    v.before.value,
  ]
}
export const ENTER_INTS = 4

const v = locals(
  ...(['at', 'least', 'end'] as const),
  ...(['rest', 'word', 'place', 'candidate', 'oldest', 'floor', 'most', 'nice'] as const),
  ...(['length', 'tail', 'left', 'from', 'size', 'oldestOrdinal', 'difference'] as const),
)
export const SEARCH_INTS = 14
export const SEARCH_LONGS = 1

/**
 * `search(at, least, end)`: enters the place, and returns the length of its match if it is longer than `least`, else NO_MATCH: what is
 * no longer is not taken.
 *
 * The encoder looks at up to `chain` places with the same hash of four bytes. Most have no more than these in common, so those
 * with the same six bytes are looked at first, and the encoder's own chain only if they are none: that is shorter by half. The
 * ordinals tell how many the encoder would have looked at before.
 */
export function searchCode(): Statement[] {
  return [
    when(
      and(
        isMore(v.at.value, add(g.base.value, number(BUFFER_SIZE - MARGIN))),
        isMore(v.end.value, add(g.base.value, number(BUFFER_SIZE))),
      ),
      [g.base.set(add(g.base.value, number(WINDOW_SIZE)))],
    ),
    v.rest.set(subtract(v.end.value, v.at.value)),
    when(isLess(v.rest.value, number(MIN_MATCH)), [give(number(NO_MATCH))]),
    v.place.set(add(v.at.value, g.shift.value)),
    // What the place replaces is the oldest one that is in reach.
    v.oldestOrdinal.set(ordinalOf(v.place.value)),
    v.candidate.set(invoke(ENTER, v.at.value, v.end.value)),
    v.oldest.set(subtract(v.place.value, number(WINDOW_SIZE))),
    v.floor.set(add(g.base.value, g.shift.value)),
    when(isLess(v.floor.value, v.oldest.value), [v.floor.set(v.oldest.value)]),
    when(
      or(
        isLess(v.candidate.value, v.floor.value),
        or(isAtMost(v.rest.value, v.least.value), isAtLeast(v.least.value, g.lazy.value)),
      ),
      [give(number(NO_MATCH))],
    ),
    v.word.set(load(v.at.value, BYTES)),
    v.most.set(smaller(v.rest.value, number(MAX_MATCH))),
    v.nice.set(smaller(g.nice.value, v.most.value)),
    when(
      and(isAtLeast(v.rest.value, number(LONG)), isAtLeast(v.at.value, g.shortUntil.value)),
      searchLong(),
    ),
    v.length.set(v.least.value),
    v.tail.set(tailAt(v.at.value)),
    v.left.set(g.chain.value),
    during(isMore(v.left.value, number(0)), [
      v.from.set(subtract(v.candidate.value, g.shift.value)),
      when(isEqual(tailAt(v.from.value), v.tail.value), [
        when(isEqual(load(v.from.value, BYTES), v.word.value), [
          ...measure(),
          when(
            and(
              isMore(v.size.value, v.length.value),
              or(
                isMore(v.size.value, number(MIN_MATCH)),
                isAtMost(subtract(v.at.value, v.from.value), number(NEAR)),
              ),
            ),
            keep(),
          ),
        ]),
      ]),
      leaveIf(isEqual(v.candidate.value, v.oldest.value)),
      v.candidate.set(subtract(v.candidate.value, loadTwo(linkOf(v.candidate.value), LINKS))),
      leaveIf(isLess(v.candidate.value, v.floor.value)),
      v.left.set(subtract(v.left.value, number(1))),
    ]),
    choose(isMore(v.length.value, v.least.value), v.length.value, number(NO_MATCH)),
  ]
}

/** Gives what is longer than LONG - 1; if there is none, leaves lengths below for what follows, the first of LONG - 1 being enough. */
function searchLong(): Statement[] {
  const { left, from } = v
  // Uses `size` for the candidate's place in turns with its length.
  const place = v.place.value
  const before = (one: Expression) => subtract(one, loadTwo(longLinkOf(one), LONG_LINKS))
  const candidate = add(from.value, g.shift.value)
  const ordinal = choose(
    isEqual(candidate, v.oldest.value),
    v.oldestOrdinal.value,
    ordinalOf(candidate),
  )
  const isBeyond = isMore(and(subtract(ordinalOf(place), ordinal), number(FAR)), g.chain.value)
  return [
    v.length.set(choose(isLess(v.least.value, number(LONG - 1)), number(LONG - 1), v.least.value)),
    v.tail.set(tailAt(v.at.value)),
    left.set(g.chain.value),
    from.set(subtract(before(place), g.shift.value)),
    during(isAtLeast(candidate, v.floor.value), [
      left.set(subtract(left.value, number(1))),
      when(isLess(left.value, number(0)), [
        when(and(isEqual(load(from.value, BYTES), v.word.value), isBeyond), [leave(2)]),
      ]),
      when(isEqual(tailAt(from.value), v.tail.value), [
        when(isEqual(load(from.value, BYTES), v.word.value), [
          ...measure(),
          when(isMore(v.size.value, v.length.value), [when(isBeyond, [leave(4)]), ...keep()]),
        ]),
      ]),
      leaveIf(isEqual(candidate, v.oldest.value)),
      from.set(subtract(before(candidate), g.shift.value)),
    ]),
    when(
      isMore(
        v.length.value,
        choose(isLess(v.least.value, number(LONG - 1)), number(LONG - 1), v.least.value),
      ),
      [give(v.length.value)],
    ),
    when(isAtLeast(v.least.value, number(LONG - 1)), [give(number(NO_MATCH))]),
    when(isMore(v.nice.value, number(LONG - 1)), [v.nice.set(number(LONG - 1))]),
  ]
}

/** Sets `size` to how much is alike at `from` and `at`. */
function measure(): Statement[] {
  return [
    v.size.set(number(MIN_MATCH)),
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

/** Takes the match at `from`, and gives it if it is long enough. */
function keep(): Statement[] {
  return [
    v.length.set(v.size.value),
    g.found.set(subtract(v.at.value, v.from.value)),
    when(isAtLeast(v.size.value, v.nice.value), [give(v.length.value)]),
    v.tail.set(tailAt(v.at.value)),
  ]
}

/** The four bytes that a match ends with which is longer than `length`, at least. */
function tailAt(at: Expression): Expression {
  return load(add(at, v.length.value), BYTES - NO_MATCH)
}

/** How many places had the same hash of four bytes up to this one, in 16 bits. */
function ordinalOf(place: Expression): Expression {
  return shiftRight(load(linkOf(place), LINKS), number(16))
}

/** Where HEADS has a word, as it lies in memory. */
function entryOf(word: Expression): Expression {
  const turned = or(
    and(rotateLeft(word, number(8)), number(0x00ff00ff)),
    and(rotateLeft(word, number(24)), number(0xff00ff00)),
  )
  const hash = shiftRight(multiply(turned, number(HASH_FACTOR)), number(32 - HASH_BITS))
  return shiftLeft(hash, number(2))
}

/** Where LONG_HEADS has the six bytes there. */
function longEntryOf(at: Expression): Expression {
  const product = [
    ...[...loadEight(at, BYTES), ...long(64 - 8 * LONG), OP.SHIFT_LEFT_LONG],
    ...[...long(BigInt.asIntN(64, LONG_HASH_FACTOR)), OP.MULTIPLY_LONG],
  ]
  const hash = [...product, ...long(64 - LONG_HASH_BITS), OP.SHIFT_RIGHT_LONG, OP.WRAP]
  return shiftLeft(hash, number(2))
}
