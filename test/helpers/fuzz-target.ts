/** What the mutator is told of one parser: where to start, what may come of any input, and what must hold of a value. */
import { CrossdockError } from '../../src/errors.ts'

export interface FuzzTarget {
  readonly name: string
  readonly seeds: readonly (string | Uint8Array)[]
  /** Words of the format that chance does not find. */
  readonly words?: readonly string[]
  /** Of inputs, bytes. */
  readonly maxSize?: number
  /** What may be thrown besides a CrossdockError that is nobody's fault inside. */
  readonly mayThrow?: (error: Error) => boolean
  /** Makes the checksums of a changed input right again, half of the time. */
  readonly repair?: (input: Buffer) => Buffer
  /** Parses, and throws a PropertyError when what came of it is not right. */
  run(input: Buffer): unknown
}

/** The parser gave a value, and something about it does not hold. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
}

export function mustHold(holds: boolean, what: string): void {
  if (!holds) throw new PropertyError(what)
}

/** Two values that print alike are alike. */
export function mustEqual(found: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)]
  if (a !== b) throw new PropertyError(`${what}: ${a?.slice(0, 300)} is not ${b?.slice(0, 300)}`)
}

/** True for what a parser may answer to any input. */
export function isForeseen(error: unknown, target: FuzzTarget): boolean {
  if (error instanceof CrossdockError) return error.kind !== 'internal'
  return error instanceof Error && target.mayThrow?.(error) === true
}
