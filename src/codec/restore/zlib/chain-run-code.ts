/** The loop of `chain-loop.ts` over tokens. */
import {
  add,
  and,
  choose,
  isAtLeast,
  isAtMost,
  isDifferent,
  isEqual,
  isLess,
  isZero,
  load,
  loadOne,
  number,
  or,
  shiftLeft,
  shiftRight,
  subtract,
} from '../../../lib/wasm-expressions.ts'
import {
  during,
  either,
  give,
  invoke,
  locals,
  type Statement,
  store,
  when,
} from '../../../lib/wasm-statements.ts'
import {
  BYTES,
  chainGlobals as g,
  INSERT,
  MIN_MATCH,
  NO_MATCH,
  SEARCH,
  shifted,
  TOKENS,
} from './chain-memory.ts'

const UNKNOWN = -1
/** Below it tokens are literals. */
const LITERALS = 256

const v = locals(
  ...(['limit', 'end', 'countLimit'] as const),
  ...(['at', 'count', 'token', 'given', 'next', 'none'] as const),
)
export const RUN_INTS = 6

const slot = shiftLeft(v.count.value, number(2))
const nextAt = add(v.at.value, number(1))

/** `run(limit, end, countLimit)`: 0 where a limit is reached, 1 where another token is given than is predicted. */
export function runCode(): Statement[] {
  return [
    v.at.set(g.at.value),
    v.count.set(g.count.value),
    when(isZero(g.isPending.value), [...searchAnew(), g.isPending.set(number(1))]),
    during(and(isLess(v.at.value, v.limit.value), isLess(v.count.value, v.countLimit.value)), [
      either(g.isGiven.value, takeGiven(), [...predict(), ...compare()]),
      v.count.set(add(v.count.value, number(1))),
      either(
        isLess(v.token.value, number(LITERALS)),
        [v.at.set(nextAt), g.length.set(v.next.value), g.match.set(g.found.value)],
        [v.at.set(add(v.at.value, shiftRight(v.token.value, number(16)))), ...searchAnew()],
      ),
    ]),
    g.at.set(v.at.value),
    g.count.set(v.count.value),
    number(0),
  ]
}

/** For the match at `at`, whatever was found before. */
function searchAnew(): Statement[] {
  return [
    // What it returns is of no use.
    v.none.set(invoke(INSERT, v.at.value, v.end.value)),
    g.length.set(invoke(SEARCH, v.at.value, number(NO_MATCH), v.end.value)),
    g.match.set(g.found.value),
  ]
}

function takeGiven(): Statement[] {
  return [
    g.isGiven.set(number(0)),
    v.token.set(load(slot, TOKENS)),
    when(isLess(v.token.value, number(LITERALS)), [
      v.next.set(invoke(SEARCH, nextAt, number(NO_MATCH), v.end.value)),
    ]),
  ]
}

/** Sets `token`, and `next` to the length of the next byte's match. */
function predict(): Statement[] {
  const isMatch = and(
    isAtLeast(g.length.value, number(MIN_MATCH)),
    isAtMost(v.next.value, g.length.value),
  )
  const match = or(
    shiftLeft(g.length.value, number(16)),
    subtract(shifted(v.at.value), g.match.value),
  )
  return [
    v.next.set(number(NO_MATCH)),
    when(isLess(nextAt, v.end.value), [
      v.none.set(invoke(INSERT, nextAt, v.end.value)),
      when(isLess(g.length.value, g.lazy.value), [
        v.next.set(invoke(SEARCH, nextAt, g.length.value, v.end.value)),
      ]),
    ]),
    v.token.set(choose(isMatch, match, loadOne(v.at.value, BYTES))),
  ]
}

/** Puts the token where none is known; ends the function where another one is. */
function compare(): Statement[] {
  const stop = [
    g.at.set(v.at.value),
    g.count.set(v.count.value),
    g.predicted.set(v.token.value),
    give(number(1)),
  ]
  const put = store(slot, TOKENS, v.token.value)
  return [
    v.given.set(load(slot, TOKENS)),
    when(isDifferent(v.given.value, v.token.value), [
      either(isEqual(v.given.value, number(UNKNOWN)), [put], stop),
    ]),
  ]
}
