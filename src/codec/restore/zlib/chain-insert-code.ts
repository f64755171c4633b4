/** How `chain-loop.ts` puts places into chains: zlib's own, and those of longer hashes. */
import {
  add,
  and,
  exclusiveOr,
  isAtMost,
  isMore,
  load,
  loadEight,
  multiply,
  number,
  or,
  shiftLeft,
  shiftRight,
  smaller,
  subtract,
  type Expression,
} from '../../../lib/wasm-expressions.ts'
import {
  during,
  either,
  locals,
  store,
  storeTwo,
  type Statement,
  type Variable,
  when,
} from '../../../lib/wasm-statements.ts'
import { long, OP } from '../../../lib/wasm.ts'
import {
  BYTES,
  COUNTS,
  FAR,
  HASH_SIZE,
  HEADS,
  LONG,
  LONG_HASH_BITS,
  LONG_HEADS,
  LONGEST,
  LONGEST_HEADS,
  MIN_MATCH,
  ORDINAL_BITS,
  ORDINAL_MASK,
  PLACES,
  linkOf,
  shifted,
  slotOf,
  chainGlobals as g,
  type Link,
} from './chain-memory.ts'

const FOUR_FACTOR = 66_521
/** Ours: only zlib's own hash decides what zlib finds. */
const LONG_FACTOR = 0x9e37_79b1
const LONGEST_FACTOR = 0x9e37_79b9_7f4a_7c15n

const w = locals('at', 'end', 'next', 'last', 'word', 'place', 'entry', 'count', 'slot')
export const INSERT_INTS = 7

/** `insert(at, end)`: puts all places into their chains up to `at`, but those of which not enough bytes are there yet. */
export function insertCode(): Statement[] {
  return [
    ...insertInto(g.next, MIN_MATCH, insertShort()),
    ...insertInto(g.longNext, LONG, [
      w.entry.set(longEntryOf(load(w.next.value, BYTES))),
      ...link(LONG_HEADS, 'long'),
    ]),
    ...insertInto(g.longestNext, LONGEST, [
      w.entry.set(longestEntryOf(w.next.value)),
      ...link(LONGEST_HEADS, 'longest'),
    ]),
    number(0),
  ]
}

function insertInto(from: Variable, size: number, body: readonly Statement[]): Statement[] {
  return [
    w.next.set(from.value),
    w.last.set(smaller(w.at.value, subtract(w.end.value, number(size)))),
    during(isAtMost(w.next.value, w.last.value), [
      w.place.set(shifted(w.next.value)),
      ...body,
      w.next.set(add(w.next.value, number(1))),
    ]),
    from.set(w.next.value),
  ]
}

function insertShort(): Statement[] {
  return [
    w.word.set(load(w.next.value, BYTES)),
    // The byte behind the end is of no meaning; Chromium's zlib mostly finds a 0 there.
    when(isMore(add(w.next.value, number(4)), w.end.value), [
      w.word.set(and(w.word.value, number(0xff_ffff))),
    ]),
    either(
      g.isOfFour.value,
      [w.entry.set(hashOfFour(w.word.value))],
      [w.entry.set(hashOfThree(w.word.value))],
    ),
    w.word.set(shiftLeft(w.entry.value, number(ORDINAL_BITS))),
    w.entry.set(shiftLeft(w.entry.value, number(3))),
    ...link(HEADS, 'short'),
    w.count.set(add(load(w.entry.value, COUNTS), number(1))),
    store(w.entry.value, COUNTS, w.count.value),
    w.slot.set(slotOf(w.place.value)),
    store(w.slot.value, PLACES, or(w.word.value, and(w.count.value, number(ORDINAL_MASK)))),
  ]
}

/** The place becomes the last one of its hash. */
function link(heads: number, kind: Link): Statement[] {
  const gap = subtract(w.place.value, load(w.entry.value, heads))
  return [
    storeTwo(...linkOf(w.place.value, kind), smaller(gap, number(FAR))),
    store(w.entry.value, heads, w.place.value),
  ]
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

/** Where LONGEST_HEADS has the six bytes there. */
function longestEntryOf(at: Expression): Expression {
  const product = [
    ...[...loadEight(at, BYTES), ...long(64 - 8 * LONGEST), OP.SHIFT_LEFT_LONG],
    ...[...long(BigInt.asIntN(64, LONGEST_FACTOR)), OP.MULTIPLY_LONG],
  ]
  const hash = [...product, ...long(64 - LONG_HASH_BITS), OP.SHIFT_RIGHT_LONG, OP.WRAP]
  return shiftLeft(hash, number(2))
}
