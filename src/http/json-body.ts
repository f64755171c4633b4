/** The body of a request that says what to do: JSON, bounded, and said to be JSON, which no form of another page can. */
import type { IncomingMessage } from 'node:http'
import { CrossdockError } from '../errors.ts'
import { collect, limit } from '../lib/streams.ts'

/** Thousands of names. */
const MAX_BODY = 1024 * 1024

/** Throws `requestInvalid`. No body is an empty object. */
export async function readJsonBody(incoming: IncomingMessage): Promise<unknown> {
  const type = incoming.headers['content-type'] ?? ''
  if (!/^application\/json\s*(?:;|$)/i.test(type)) {
    throw invalid('the request has no Content-Type: application/json', 'content-type')
  }
  const bytes = await collect(
    limit(incoming, MAX_BODY, () =>
      invalid(`the body has more than ${MAX_BODY} bytes`, 'body-size'),
    ),
    MAX_BODY,
  )
  if (bytes.byteLength === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw invalid('the body is no JSON', 'json', cause)
  }
}

function invalid(what: string, reason: string, cause?: unknown): CrossdockError {
  return new CrossdockError('requestInvalid', `${what}; see docs/api.md for what is sent here`, {
    reason,
    cause,
  })
}
