/** The loop of `chain-loop.ts` over tokens. */
import {
  add,
  and,
  isAtMost,
  isDifferent,
  isEqual,
  isLess,
  isMore,
  isZero,
  load,
  loadOne,
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
  invoke,
  locals,
  type Statement,
  store,
  when,
} from '../../../lib/wasm-statements.ts'
import { BYTES, chainGlobals as g, ENTER, NO_MATCH, SEARCH, TOKENS } from './chain-memory.ts'

const UNKNOWN = -1
/** Below it tokens are literals. */
const LITERALS = 256

const v = locals(
  ...(['limit', 'end', 'countLimit'] as const),
  ...(['at', 'count', 'token', 'given', 'next', 'from', 'last'] as const),
)
export const RUN_INTS = 7

const slot = shiftLeft(v.count.value, number(2))

/** `run(limit, end, countLimit)`: 0 where a limit is reached, 1 where another token is given than is predicted. */
export function runCode(): Statement[] {
  return [
    v.at.set(g.at.value),
    v.count.set(g.count.value),
    during(and(isLess(v.at.value, v.limit.value), isLess(v.count.value, v.countLimit.value)), [
      either(g.isGiven.value, takeGiven(), [...predict(), ...compare()]),
      v.count.set(add(v.count.value, number(1))),
      either(isLess(v.token.value, number(LITERALS)), passLiteral(), passMatch()),
    ]),
    g.at.set(v.at.value),
    g.count.set(v.count.value),
    number(0),
  ]
}

function takeGiven(): Statement[] {
  return [g.isGiven.set(number(0)), v.token.set(load(slot, TOKENS)), v.next.set(g.next.value)]
}

/** Sets `token`, and `next` to the length of the next byte's match. */
function predict(): Statement[] {
  const nextAt = add(v.at.value, number(1))
  const isMatch = and(
    isMore(g.length.value, number(NO_MATCH)),
    isAtMost(v.next.value, g.length.value),
  )
  return [
    when(isZero(g.isSearched.value), [
      g.length.set(invoke(SEARCH, v.at.value, number(NO_MATCH), v.end.value)),
      g.distance.set(g.found.value),
    ]),
    v.next.set(number(NO_MATCH)),
    when(isLess(nextAt, v.end.value), [
      v.next.set(invoke(SEARCH, nextAt, g.length.value, v.end.value)),
    ]),
    v.token.set(loadOne(v.at.value, BYTES)),
    when(isMatch, [v.token.set(or(shiftLeft(g.length.value, number(16)), g.distance.value))]),
  ]
}

/** Puts the token where none is known; ends the function where another one is. */
function compare(): Statement[] {
  const stop = [
    g.at.set(v.at.value),
    g.count.set(v.count.value),
    g.next.set(v.next.value),
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

function passLiteral(): Statement[] {
  return [
    v.at.set(add(v.at.value, number(1))),
    g.isSearched.set(isLess(v.at.value, v.end.value)),
    g.length.set(v.next.value),
    g.distance.set(g.found.value),
  ]
}

/** Enters what the match covers but its first two bytes, which are there. */
function passMatch(): Statement[] {
  return [
    g.isSearched.set(number(0)),
    v.from.set(add(v.at.value, number(2))),
    v.at.set(add(v.at.value, shiftRight(v.token.value, number(16)))),
    v.last.set(smaller(v.at.value, subtract(v.end.value, number(NO_MATCH)))),
    during(isLess(v.from.value, v.last.value), [
      // What it returns is of no use here.
      v.given.set(invoke(ENTER, v.from.value, v.end.value)),
      v.from.set(add(v.from.value, number(1))),
    ]),
  ]
}
