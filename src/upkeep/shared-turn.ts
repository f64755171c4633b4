/** The turns of upkeep: what only one of several servers does at a time. */
import type { SharedTurn, SharedTurns } from '../ports/shared-turns.ts'

/** Looking after the store all the time: collecting when it is due, scrubbing, keeping layers as one copy. */
export const UPKEEP = 'upkeep'

/** Deciding what goes, and deleting it: whoever looks after the store, or was told to collect by somebody. */
export const COLLECT = 'collect'

/** Of the only process that there is. */
const ALONE: SharedTurn = {
  fence: undefined,
  signal: new AbortController().signal,
  assertHeld: () => undefined,
}

/** `turns`: where others share the store. */
export async function inTurn<T>(
  turns: SharedTurns | undefined,
  name: string,
  work: (turn: SharedTurn) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return turns === undefined ? await work(ALONE) : await turns.take(name, work, signal)
}
