/** JSON from a registry: bounded in depth before it is parsed, since a parser's stack is not. */
import { CrossdockError } from '../errors.ts'

const MAX_DEPTH = 64
const [QUOTE, BACKSLASH] = [0x22, 0x5c]
const OPENING = new Set([0x5b, 0x7b])
const CLOSING = new Set([0x5d, 0x7d])

/** Throws `badManifest` for anything but a JSON object. */
export function parseObject(bytes: Uint8Array, what: string): Readonly<Record<string, unknown>> {
  try {
    if (depthOf(bytes) > MAX_DEPTH) throw new SyntaxError(`nested deeper than ${MAX_DEPTH}`)
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, unknown>
    }
    throw new SyntaxError('not an object')
  } catch (cause) {
    throw new CrossdockError(
      'badManifest',
      `${what}: the answer is not the JSON object it should be; check the URL of this upstream`,
      { cause, reason: 'json' },
    )
  }
}

/** How deep brackets nest outside strings. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0
  let deepest = 0
  let isInString = false
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    if (isInString && byte === BACKSLASH) at += 1
    else if (byte === QUOTE) isInString = !isInString
    else if (!isInString && OPENING.has(byte)) deepest = Math.max(deepest, ++depth)
    else if (!isInString && CLOSING.has(byte)) depth -= 1
  }
  return deepest
}
