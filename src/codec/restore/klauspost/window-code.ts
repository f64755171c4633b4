/** What klauspost's search does with a match, instruction by instruction. Places are addresses, what the tables hold are addresses plus `base`. */

import {
  branch,
  branchIf,
  type Code,
  call,
  get,
  int,
  loadInt,
  long,
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
  isMore,
  loadEight,
  loadOne,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import {
  BYTES,
  enterLong,
  enterShort,
  FOUND,
  LONG,
  longPlace,
  reaches,
  shortPlace,
} from './window-tables.ts'

/** Bytes at the end of a window where no search begins. */
export const MARGIN = 11
export const LEAST = 4
/** A match that is found on the way is measured up to here, and up to the window's end once it is chosen. */
export const MAX_MATCH = 258
/** Below this length, what follows the match is looked up as well, to find a longer one that ends with it. */
const ENOUGH = 30
/** That one may begin so much later. */
const RETRY_SKIP = 2

/** Functions that others call, by their place in the module. */
export const [ALIKE, SETTLE] = [0, 1] as const

/** How many bytes are alike from `a` and from `b`, which comes before it, up to `end`. */
export function alikeCode(): Code {
  const [a, b, end, start, difference] = [0, 1, 2, 3, 4] as const
  const forth = (by: number) => [
    ...[...add(get(a), int(by)), ...set(a)],
    ...[...add(get(b), int(by)), ...set(b)],
  ]
  return [
    ...[get(a), set(start)],
    loop([
      ...[isMore(add(get(a), int(8)), get(end)), branchIf(1)],
      ...[loadEight(get(a)), loadEight(get(b)), OP.XOR_LONG, tee(difference)],
      ...[long(0), OP.NE_LONG],
      when([
        ...[get(a), get(start), OP.SUB, get(difference), OP.TRAILING_ZEROS_LONG, OP.WRAP],
        ...[int(3), OP.SHIFT_RIGHT, OP.ADD, OP.RETURN],
      ]),
      ...[forth(8), branch(0)],
    ]),
    loop([
      ...[get(a), get(end), OP.GE, branchIf(1)],
      ...[loadOne(get(a)), loadOne(get(b)), OP.NE, branchIf(1)],
      ...[forth(1), branch(0)],
    ]),
    subtract(get(a), get(start)),
  ]
}

/** Measures a match to its end (its length is not known if it is 0), tries for a longer one, and extends it to the front. */
export function settleCode(): Code {
  const [at, candidate, length, from, end, base] = [0, 1, 2, 3, 4, 5] as const
  const [behind, other, start] = [6, 7, 8] as const
  const measure = (by: Expression) => [
    ...[...add(get(at), by), ...add(get(candidate), by), ...get(end), ...call(ALIKE)],
    ...[...by, OP.ADD, ...set(length)],
  ]
  return [
    isEqual(get(length), int(0)),
    when([measure(int(LEAST))]),
    isEqual(get(length), int(MAX_MATCH)),
    when([measure(get(length))]),
    ...[add(get(at), get(length)), set(behind)],
    isLess(get(length), int(ENOUGH)),
    isLess(get(behind), subtract(get(end), int(MARGIN))),
    OP.AND,
    when([
      ...[longPlace(loadEight(get(behind))), loadInt(LONG), get(base), OP.SUB],
      ...[get(length), OP.SUB, int(RETRY_SKIP), OP.ADD, set(other)],
      ...[add(get(at), int(RETRY_SKIP)), set(start)],
      ...[get(other), int(BYTES), OP.GE_SIGNED, reaches(start, other), OP.AND],
      when([
        ...[get(start), get(other), get(end), call(ALIKE), tee(behind), get(length), OP.GT],
        when([get(start), set(at), get(other), set(candidate), get(behind), set(length)]),
      ]),
    ]),
    loop([
      ...[get(candidate), int(BYTES), OP.LE_SIGNED, branchIf(1)],
      ...[get(at), get(from), OP.LE_SIGNED, branchIf(1)],
      ...[loadOne(subtract(get(candidate), int(1))), loadOne(subtract(get(at), int(1)))],
      ...[OP.NE, branchIf(1)],
      ...[subtract(get(candidate), int(1)), set(candidate), subtract(get(at), int(1)), set(at)],
      ...[add(get(length), int(1)), set(length), branch(0)],
    ]),
    ...[int(0), get(length), storeInt(FOUND)],
    ...[int(0), subtract(get(at), get(candidate)), storeInt(FOUND + 4)],
    get(at),
  ]
}

/** Every byte but the first of a match: some in one table, some in the other. */
export function enterCode(): Code {
  const [behind, length, base, at, place, word] = [0, 1, 2, 3, 4, 5] as const
  const enterFour = (bytes: Expression, where: Expression) =>
    enterShort(shortPlace(bytes), where, base)
  const enterSeven = (bytes: Expression, where: Expression): Expression => [
    ...[...longPlace(bytes), ...set(place), ...enterLong(place, where, base)],
  ]
  const later = (by: number) => add(get(at), int(by))
  const shifted = (by: number) => [...get(word), ...long(8 * by), OP.SHIFT_RIGHT_LONG]
  const last = subtract(get(behind), int(1))
  return [
    ...[last, set(behind)],
    ...[subtract(get(behind), get(length)), int(2), OP.ADD, set(at)],
    isLess(get(at), get(behind)),
    when([
      ...[loadEight(get(at)), set(word)],
      enterFour([...get(word), OP.WRAP], get(at)),
      enterSeven(get(word), get(at)),
      enterSeven(shifted(1), later(1)),
      enterFour([...shifted(2), OP.WRAP], later(2)),
      ...[later(4), set(at)],
      loop([
        ...[get(at), get(behind), OP.GE_SIGNED, branchIf(1)],
        ...[loadEight(get(at)), set(word)],
        enterSeven(get(word), get(at)),
        enterFour([...shifted(1), OP.WRAP], later(1)),
        ...[later(3), set(at), branch(0)],
      ]),
    ]),
    ...[loadEight(get(behind)), set(word)],
    enterFour([...get(word), OP.WRAP], get(behind)),
    enterSeven(get(word), get(behind)),
    int(0),
  ]
}
