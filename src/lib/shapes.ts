/** Pure: what a value out of JSON is, for the readers of files that we once wrote ourselves. */

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isText(value: unknown): value is string {
  return typeof value === 'string'
}

/** A whole number from 0: a size, a revision. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

export function isListOf<T>(
  value: unknown,
  isOne: (item: unknown) => item is T,
): value is readonly T[] {
  return Array.isArray(value) && value.every(isOne)
}

export function isTextMap(value: unknown): value is Readonly<Record<string, string>> {
  return isObject(value) && Object.values(value).every(isText)
}

/** The object that a text of JSON says; `undefined` when it says none. */
export function parseObject(text: unknown): Readonly<Record<string, unknown>> | undefined {
  const value = parse(text)
  return isObject(value) ? value : undefined
}

/** The list that a text of JSON says; empty when it says none. */
export function parseList(text: unknown): readonly unknown[] {
  const value = parse(text)
  return Array.isArray(value) ? value : []
}

function parse(text: unknown): unknown {
  if (!isText(text)) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
