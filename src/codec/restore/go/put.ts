/** What a matcher that finds match after match puts into a run: the literals between them, and the matches. */
import { leadsOut } from '../failure.ts'
import { type Run, type Token, UNKNOWN } from '../model.ts'

const MIN_MATCH = 3
const MAX_MATCH = 258

/** Literals up to `to`. Returns the match that was there instead of one of them, behind which it stops; 0 if there was none. */
export function putLiterals(run: Run, to: number): Token {
  const { plain, tokens } = run
  let { at, count } = run
  for (; at < to; at += 1, count += 1) {
    const literal = plain[at] as number
    const given = tokens[count] as number
    if (given === literal) continue
    if (given === UNKNOWN) {
      tokens[count] = literal
      continue
    }
    const token = run.miss(count, at, literal)
    if (token < 256) continue
    run.at = at + (token >>> 16)
    run.count = count + 1
    return token
  }
  run.at = at
  run.count = count
  return 0
}

/** A match, which only corrections that are damaged can have begin too late to end in time. Returns the match that was there, or 0 for a literal. */
export function putMatch(run: Run, length: number, distance: number): Token {
  const { tokens, count, at } = run
  let token = (length << 16) | distance
  const given = tokens[count]
  if (given !== token) {
    if (given !== UNKNOWN) token = run.miss(count, at, token)
    else if (length > run.end - at) throw leadsOut()
    else tokens[count] = token
  }
  run.count = count + 1
  run.at = token < 256 ? at + 1 : at + (token >>> 16)
  return token < 256 ? 0 : token
}

/** A match of any length, in as many as it takes; stops behind one that is another. Returns the last match that was there, or 0. */
export function putLongMatch(run: Run, length: number, distance: number): Token {
  let left = length
  for (;;) {
    let size = left
    // So much must be left for the next one.
    if (left > MAX_MATCH) size = left > MAX_MATCH + MIN_MATCH ? MAX_MATCH : MAX_MATCH - MIN_MATCH
    const token = putMatch(run, size, distance)
    left -= size
    if (left === 0 || token !== ((size << 16) | distance)) return token
  }
}
