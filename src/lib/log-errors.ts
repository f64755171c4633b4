/** What the log says of an error: all of it for one that nobody foresaw, and no stack of a connection that was refused. */
import { CrossdockError } from '../errors.ts'
import { cut } from './printable.ts'

const MAX_MESSAGE = 1024
const MAX_STACK = 8 * 1024
const MAX_CAUSES = 5

export interface DescribedError {
  readonly type: string
  readonly message: string
  readonly kind?: string
  readonly reason?: string | undefined
  /** What it came from, one after the other. */
  readonly causes?: readonly string[]
  readonly stack?: string
}

export function describeError(error: unknown): DescribedError {
  const [first, ...causes] = chainOf(error)
  if (!(first instanceof Error)) return { type: typeof error, message: messageOf(error) }
  const unforeseen = [first, ...causes].filter(isUnforeseen)
  const isForeseen = first instanceof CrossdockError && first.kind !== 'internal'
  return {
    type: first.name,
    message: messageOf(first),
    ...(first instanceof CrossdockError && { kind: first.kind, reason: first.reason }),
    ...(causes.length > 0 && { causes: causes.map(messageOf) }),
    ...(!isForeseen && unforeseen.length > 0 && { stack: stackOf(unforeseen) }),
  }
}

/** The error, then its causes, as many as are worth a look. */
function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = []
  let next = error
  while (next !== undefined && !chain.includes(next) && chain.length <= MAX_CAUSES) {
    chain.push(next)
    next = next instanceof Error ? next.cause : undefined
  }
  return chain
}

/** Not what an operating system says of a file or a connection: its stack is Node's own, if any. */
function isUnforeseen(error: unknown): error is Error {
  return error instanceof Error && !(error instanceof CrossdockError) && !('syscall' in error)
}

function stackOf(errors: readonly Error[]): string {
  return cut(errors.map(({ stack, message }) => stack ?? message).join('\ncaused by: '), MAX_STACK)
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return cut(String(error), MAX_MESSAGE)
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  // Where all addresses of a host failed, Node says it in the code alone.
  const text = error.message === '' ? (code ?? error.name) : error.message
  return cut(text, MAX_MESSAGE)
}
