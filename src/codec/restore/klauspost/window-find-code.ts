/** How klauspost's search finds a match, instruction by instruction: a place, then another, until one of three candidates is alike. */

import {
  branch,
  type Code,
  call,
  get,
  int,
  loadInt,
  loop,
  OP,
  set,
  storeInt,
  tee,
  when,
} from '../../../lib/wasm.ts'
import {
  add,
  type Expression,
  isEqual,
  isLess,
  load,
  loadEight,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import { ALIKE, LEAST, MARGIN, MAX_MATCH, SETTLE } from './window-code.ts'
import {
  enterLong,
  enterShort,
  FOUND,
  LONG,
  longPlace,
  OLDER,
  reaches,
  SHORT,
  shortPlace,
} from './window-tables.ts'

/** The search goes on by a byte more for so many bytes (log2) that brought no match. */
const SKIP_LOG = 6

const [start, from, end, base] = [0, 1, 2, 3] as const
/** The place that is looked at and the next one, with what the tables have for the latter. */
const [at, next, limit, short, seven, low, nextLow] = [4, 5, 6, 7, 8, 9, 10] as const
/** Candidates for the place: of four bytes, of seven, and the one of seven before that. */
const [four, newer, older, length, other, word] = [11, 12, 13, 14, 15, 16] as const

const NONE = [...int(-1), OP.RETURN]

/** Its parameters: where to search from, where the bytes without a token begin, the window's end, `base`. */
export function findCode(): Code {
  return [
    ...[subtract(get(end), int(MARGIN)), set(limit)],
    ...[get(start), get(limit), OP.GE_SIGNED, when([NONE])],
    ...[get(start), set(next), ...hashNext()],
    loop([...goOn(), ...trySeven(), ...tryFour(), branch(0)]),
    int(-1),
  ]
}

function hashNext(): Code {
  return [
    ...[loadEight(get(next)), tee(word), OP.WRAP, tee(nextLow)],
    ...[shortPlace([]), set(short)],
    ...[longPlace(get(word)), set(seven)],
  ]
}

/** To the next place, whose entries become candidates and are taken over by itself. */
function goOn(): Code {
  return [
    ...[get(nextLow), set(low), get(next), set(at)],
    ...[add(get(at), int(1)), subtract(get(at), get(from)), int(SKIP_LOG), OP.SHIFT_RIGHT, OP.ADD],
    ...[tee(next), get(limit), OP.GT_SIGNED, when([NONE])],
    ...[entryOf(short, SHORT), set(four), entryOf(seven, LONG), set(newer)],
    ...[entryOf(seven, OLDER), set(older)],
    ...[enterShort(get(short), get(at), base), enterLong(seven, get(at), base)],
    ...hashNext(),
  ]
}

/** The newer candidate of seven bytes, or the older if it makes a longer match, or is the only one that is alike. */
function trySeven(): Code {
  const chooseLonger = [
    ...[measure(at, newer), set(length), measure(at, older), tee(other), get(length), OP.GT],
    when([settle(at, older, get(other))]),
    settle(at, newer, get(length)),
  ]
  return [
    reaches(at, newer),
    when([
      isAlike(low, newer),
      when([
        ...enterNext(),
        reaches(at, older),
        when([isAlike(low, older), when(chooseLonger)]),
        settle(at, newer, int(0)),
      ]),
      reaches(at, older),
      when([isAlike(low, older), when([...enterNext(), settle(at, older, int(0))])]),
    ]),
  ]
}

/** The candidate of four bytes, unless one of seven makes a longer match at the next place. */
function tryFour(): Code {
  const tryNext = (candidate: number): Code => [
    isAlike(nextLow, candidate),
    when([
      ...[measure(next, candidate), tee(other), get(length), OP.GT],
      when([settle(next, candidate, get(other))]),
    ]),
  ]
  return [
    reaches(at, four),
    when([
      isAlike(low, four),
      when([
        ...[measure(at, four), set(length)],
        ...[entryOf(seven, LONG), set(newer), entryOf(seven, OLDER), set(older)],
        ...enterNext(),
        reaches(next, newer),
        when([...tryNext(newer), reaches(next, older), when(tryNext(older))]),
        settle(at, four, get(length)),
      ]),
    ]),
  ]
}

function enterNext(): Code {
  return [
    enterShort(get(short), get(next), base),
    enterLong(seven, get(next), base),
    ...[int(0), get(next), storeInt(FOUND + 8)],
  ]
}

function entryOf(place: number, table: number): Expression {
  return subtract([...get(place), ...loadInt(table)], get(base))
}

/** Whether the four bytes are a candidate's first. */
function isAlike(bytes: number, candidate: number): Expression {
  return isEqual(get(bytes), load(get(candidate)))
}

/** The length of a match whose first four bytes are known, MAX_MATCH at most. */
function measure(place: number, candidate: number): Expression {
  const most = add(get(place), int(MAX_MATCH))
  return [
    ...[...add(get(place), int(LEAST)), ...add(get(candidate), int(LEAST))],
    ...[...most, ...get(end), ...isLess(most, get(end)), OP.SELECT],
    ...[...call(ALIKE), ...int(LEAST), OP.ADD],
  ]
}

/** Returns the match, which is of that length at least; not measured yet if 0. */
function settle(place: number, candidate: number, size: Expression): Expression {
  return [
    ...[...get(place), ...get(candidate), ...size, ...get(from), ...get(end), ...get(base)],
    ...[...call(SETTLE), OP.RETURN],
  ]
}
