/** What a client is told that gets an error (distribution-spec 1.1, "Error Codes"). */
import type { CrossdockError } from '../errors.ts'
import { cut, printableJson } from '../lib/printable.ts'

const MAX_TEXT = 2048

/** For the client and the log; an error of ours that nobody foresaw says nothing more. Operators are told the whole. */
export function refusalText(failure: CrossdockError | undefined, isForOperators: boolean): string {
  const text = isForOperators ? failure?.message : failure?.told
  return cut(text ?? 'something failed inside crossdock; see its log', MAX_TEXT)
}

export function refusalBody(code: string, text: string, id: string, reason?: string): string {
  const detail = reason === undefined ? {} : { detail: { reason } }
  return `${printableJson({ errors: [{ code, message: `${text} (request ${id})`, ...detail }] })}\n`
}
