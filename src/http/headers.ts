/** Headers of answers, whose values may hold what a registry, an image or a client said. */
import { headerText } from '../lib/printable.ts'

export type Headers = Readonly<Record<string, string | number | string[]>>

/** Characters of a value: more than any link or name of ours has, and less than clients refuse. */
const MAX_LENGTH = 8 * 1024

/** The same, with values that Node sends: one that it does not would become an answer of 500. */
export function sendable(headers: Headers): Headers {
  const sent: Record<string, Headers[string]> = {}
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'string') sent[name] = headerText(value, MAX_LENGTH)
    else if (typeof value === 'number') sent[name] = value
    else if (value !== undefined) sent[name] = value.map((one) => headerText(one, MAX_LENGTH))
  }
  return sent
}
