/**
 * Strict JSON: what is accepted here is read the same by every client. JSON.parse alone takes the last of two equal keys,
 * rounds large numbers and follows any depth; this reader refuses all of that before it parses.
 */
import { CrossdockError } from '../errors.ts'

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined
}

export interface JsonRules {
  /** What is read, for messages: `manifest sha256:...`. */
  readonly what: string
  readonly maxBytes: number
  /** The setting that says so, for messages. */
  readonly setting?: string
  /** True for documents that are written again: a number that JavaScript would write differently is refused. */
  readonly rewritten: boolean
}

/** Deeper than any real manifest or config, and harmless to what recurses later. */
const MAX_DEPTH = 64
/** A thousand children with all their annotations need fewer; more only serves to collide in hash tables. */
const MAX_KEYS = 20_000
/** Elements and members together: keeps the time for 4 MiB of the smallest values near that for 4 MiB of text. */
const MAX_VALUES = 200_000

/** A place of a string literal, quotes included, in UTF-16 units. */
export interface Span {
  readonly start: number
  readonly end: number
}

/** Reads one JSON object. Throws `badSize` when it is too large, `badManifest` with a reason for everything else. */
export function readJson(bytes: Uint8Array, rules: JsonRules): JsonObject {
  const text = decodeText(bytes, rules)
  const value = guard(rules, () => {
    scan(text, rules)
    return JSON.parse(text) as JsonValue
  })
  if (!isJsonObject(value)) throw malformed(rules.what, 'is not a JSON object', 'json')
  return value
}

/**
 * The string elements of the array at `path`, in order, keys compared by `fold`; the text must have been accepted by `readJson`.
 */
export function findStrings(
  text: string,
  path: readonly string[],
  fold: (key: string) => string,
  rules: JsonRules,
): Span[] {
  const spans: Span[] = []
  guard(rules, () =>
    scan(text, rules, {
      onString: (frames, start, end) => {
        if (isArrayAt(frames, path, fold)) spans.push({ start, end })
      },
    }),
  )
  return spans
}

/**
 * Where the bracket stands that ends the array at `path`; `undefined` where there is none. Else as `findStrings`.
 */
export function findArrayEnd(
  text: string,
  path: readonly string[],
  fold: (key: string) => string,
  rules: JsonRules,
): number | undefined {
  let found: number | undefined
  guard(rules, () =>
    scan(text, rules, {
      onClose: (frames, at) => {
        if (isArrayAt(frames, path, fold)) found = at
      },
    }),
  )
  return found
}

/** True inside of the array at `path`, and not deeper. */
function isArrayAt(
  frames: readonly Frame[],
  path: readonly string[],
  fold: (key: string) => string,
): boolean {
  const isElement = frames.length === path.length + 1 && frames.at(-1)?.isArray === true
  const isAt = (key: string, frame: Frame | undefined) =>
    frame?.isArray === false && fold(frame.key) === fold(key)
  return isElement && path.every((key, i) => isAt(key, frames[i]))
}

export function decodeText(bytes: Uint8Array, rules: JsonRules): string {
  if (bytes.byteLength > rules.maxBytes) {
    const setting = rules.setting ?? 'the limit in the configuration'
    throw new CrossdockError(
      'badSize',
      `${rules.what} has ${bytes.byteLength} bytes, more than the ${rules.maxBytes} allowed; raise ${setting} if it is real`,
      { reason: 'too-large' },
    )
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    if (!text.startsWith('\ufeff')) return text
  } catch (cause) {
    throw malformed(rules.what, 'is not valid UTF-8', 'utf-8', cause)
  }
  throw malformed(rules.what, 'starts with a byte order mark', 'bom')
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function malformed(
  what: string,
  problem: string,
  reason: string,
  cause?: unknown,
): CrossdockError {
  const message = `${what} ${problem}`
  return new CrossdockError('badManifest', message, { reason, cause })
}

function guard<T>(rules: JsonRules, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed(rules.what, 'is not JSON', 'json', error)
    throw error
  }
}

interface Frame {
  readonly isArray: boolean
  /** The key whose value is being read. */
  key: string
  expectsKey: boolean
  keys: Set<string> | undefined
}

interface Visitor {
  /** Of a value; keys are none. */
  readonly onString?: (frames: readonly Frame[], start: number, end: number) => void
  /** Before the innermost frame is left. */
  readonly onClose?: (frames: readonly Frame[], at: number) => void
}

const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

const NUMBER = /[-+.0-9eE]+/y
const SURROGATE_ESCAPE = /\\u[dD][89a-fA-F]/

/** One pass without recursion. What is not JSON may pass; JSON.parse comes after. */
function scan(text: string, rules: JsonRules, visitor: Visitor = {}): void {
  const frames: Frame[] = []
  let frame: Frame | undefined
  let keys = 0
  let values = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    const isOpening = code === OPEN_OBJECT || code === OPEN_ARRAY
    if (isOpening || code === COMMA) {
      if (++values > MAX_VALUES) throw tooMany(MAX_VALUES, 'values', rules)
      if (isOpening) frame = openFrame(frames, code === OPEN_ARRAY, rules)
      else if (frame !== undefined) frame.expectsKey = !frame.isArray
    } else if (code === QUOTE) {
      const end = endOfString(text, at)
      if (frame?.expectsKey) {
        if (++keys > MAX_KEYS) throw tooMany(MAX_KEYS, 'keys', rules)
        readKey(frame, text.slice(at, end), rules)
      } else {
        checkString(text, at, end, rules)
        visitor.onString?.(frames, at, end)
      }
      at = end - 1
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      visitor.onClose?.(frames, at)
      frames.pop()
      frame = frames.at(-1)
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      at = endOfNumber(text, at, rules) - 1
    }
  }
}

function openFrame(frames: Frame[], isArray: boolean, rules: JsonRules): Frame {
  const frame: Frame = { isArray, key: '', expectsKey: !isArray, keys: undefined }
  if (frames.push(frame) <= MAX_DEPTH) return frame
  throw malformed(rules.what, `is nested deeper than ${MAX_DEPTH}`, 'json-depth')
}

function tooMany(max: number, found: 'keys' | 'values', rules: JsonRules): CrossdockError {
  return malformed(rules.what, `has more than ${max} ${found}`, `json-${found}`)
}

function readKey(frame: Frame, literal: string, rules: JsonRules): void {
  const key = literal.includes('\\') ? (JSON.parse(literal) as string) : literal.slice(1, -1)
  if (!key.isWellFormed()) throw loneSurrogate(rules)
  frame.keys ??= new Set()
  if (frame.keys.has(key)) {
    const problem = `has the key ${JSON.stringify(key.slice(0, 80))} twice in one object`
    throw malformed(rules.what, problem, 'json-duplicate-key')
  }
  frame.keys.add(key)
  frame.key = key
  frame.expectsKey = false
}

/** Behind the closing quote. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1)
  return end < 0 ? text.length : end + 1
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++
  return backslashes % 2 === 1
}

/** Go reads an escaped half of a surrogate pair as U+FFFD, JavaScript keeps it. */
function checkString(text: string, start: number, end: number, rules: JsonRules): void {
  const literal = text.slice(start, end)
  if (!literal.includes('\\u') || !SURROGATE_ESCAPE.test(literal)) return
  if (!(JSON.parse(literal) as string).isWellFormed()) throw loneSurrogate(rules)
}

function loneSurrogate(rules: JsonRules): CrossdockError {
  return malformed(rules.what, 'has half of a surrogate pair in a string', 'json-surrogate')
}

function endOfNumber(text: string, start: number, rules: JsonRules): number {
  NUMBER.lastIndex = start
  const number = NUMBER.exec(text)?.[0] ?? ''
  if (rules.rewritten && !isExact(number)) {
    const problem = `has the number ${number.slice(0, 40)}, which is not read the same everywhere`
    throw malformed(rules.what, problem, 'json-number')
  }
  return start + Math.max(1, number.length)
}

function isExact(number: string): boolean {
  const value = Number(number)
  return String(value) === number && Math.abs(value) <= Number.MAX_SAFE_INTEGER
}
