/**
 * Text of others, made harmless for whatever shows or carries it: the one place that knows what a terminal, a log or a header
 * must not get. The sinks are cli/output.ts, lib/log.ts and http/exchange.ts.
 */

/**
 * What a reader would obey, not see, or break a line at: controls (C0, DEL, C1), format characters (bidirectional ones, joiners),
 * line separators, whatever shows as nothing, and halves of characters.
 */
const OBEYED = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu
const OBEYED_IN_LINE =
  /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu
const BEYOND_ASCII = /[^\x20-\x7e]/gu

/** What nearly every text consists of; looked for first, since logs and headers are written thousands of times a second. */
const PLAIN = /^[\x20-\x7e]*$/
const PLAIN_LINES = /^[\x20-\x7e\n\t]*$/

const CUT = '...'

/** For a line of a terminal, a log or a table's cell: whatever would be obeyed as `\u001b`. */
export function oneLine(text: string): string {
  return PLAIN.test(text) ? text : text.replace(OBEYED, escapeChar)
}

/** For a text of several lines: line feeds and tabs stay. JSON stays the same JSON, its strings escaped as JSON does. */
export function manyLines(text: string): string {
  return PLAIN_LINES.test(text) ? text : text.replace(OBEYED_IN_LINE, escapeChar)
}

/** JSON that any terminal, browser or log may show as it is. */
export function printableJson(value: object, indent?: number): string {
  return manyLines(JSON.stringify(value, null, indent))
}

/** For the value of an HTTP header (RFC 9110 section 5.5), where nothing beyond printable ASCII is sure to arrive. */
export function headerText(text: string, max: number): string {
  return cut(PLAIN.test(text) ? text : text.replace(BEYOND_ASCII, escapeChar), max)
}

/** A quoted-string of a header (RFC 9110 section 5.6.4). */
export function quotedText(text: string, max: number): string {
  return `"${headerText(text, max).replace(/["\\]/g, '\\$&')}"`
}

/** At most `max` UTF-16 units, `...` included where something is missing. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text
  // A character of two units is not halved.
  return `${text.slice(0, max - CUT.length).replace(/[\ud800-\udbff]$/, '')}${CUT}`
}

function escapeChar(char: string): string {
  return Array.from({ length: char.length }, (_, i) => escapeUnit(char.charCodeAt(i))).join('')
}

function escapeUnit(unit: number): string {
  return `\\u${unit.toString(16).padStart(4, '0')}`
}
