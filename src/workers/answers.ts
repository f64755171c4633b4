/** Results and failures of one process, as they travel to another. */
import { CrossdockError } from '../errors.ts'
import type { Answer } from './words.ts'

/** Throws what whoever was asked has failed with. */
export function saidIn<T>(answer: Answer): T {
  if (answer.kind === 'failed') throw new CrossdockError(answer.failure, answer.message)
  // Both ends are the same build, and the question says what its answer is.
  return answer.value as T
}

/** What `work` comes to, as it travels. */
export async function answerOf<T>(work: () => Promise<T>): Promise<Answer<T>> {
  try {
    return { kind: 'said', value: await work() }
  } catch (error) {
    return {
      kind: 'failed',
      failure: error instanceof CrossdockError ? error.kind : 'internal',
      message: error instanceof Error ? error.message : String(error),
    }
  }
}
