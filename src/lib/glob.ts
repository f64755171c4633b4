/** Globs over `upstream/repository`, as rules and policies have them: matched in linear time, since clients choose the names. */

export interface Glob {
  test(text: string): boolean
}

/** `*` stays within a component, `**` crosses them; everything else means itself. */
export function compileGlob(glob: string): Glob {
  const tokens = glob.split(/(\*\*|\*)/).filter((token) => token !== '')
  return { test: (text) => matches(tokens, text) }
}

/**
 * Walks the pattern once and keeps every place in the text where what came before may end: no place is tried twice, whatever the
 * pattern, while a regular expression would try each way to spread the text over the stars.
 */
function matches(tokens: readonly string[], text: string): boolean {
  let places = [0]
  for (const token of tokens) {
    if (token === '**') places = from(places[0] ?? 0, text.length)
    else if (token === '*') places = withinComponents(places, text)
    else places = after(token, places, text)
    if (places.length === 0) return false
  }
  return places.at(-1) === text.length
}

function from(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}

/** Each place, and what follows it up to the next slash. */
function withinComponents(places: readonly number[], text: string): number[] {
  const reached: number[] = []
  for (const place of places) {
    // What is reached already was followed to its slash.
    if (place <= (reached.at(-1) ?? -1)) continue
    const slash = text.indexOf('/', place)
    reached.push(...from(place, slash < 0 ? text.length : slash))
  }
  return reached
}

function after(literal: string, places: readonly number[], text: string): number[] {
  return places
    .filter((place) => text.startsWith(literal, place))
    .map((place) => place + literal.length)
}
