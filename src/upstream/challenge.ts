/** Pure: `WWW-Authenticate` as in RFC 9110 section 11.6.1, from a registry that may say anything. */

export interface Challenge {
  /** Lower case. */
  readonly scheme: string
  /** Names in lower case. */
  readonly params: ReadonlyMap<string, string>
}

/** More than any registry needs; beyond them the header is refused. */
const MAX_LENGTH = 8_192
const MAX_CHALLENGES = 8
const MAX_PARAMS = 32

const SKIP = /[\s,]*/y
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y
const EQUALS = /[ \t]*=[ \t]*/y
const QUOTED = /"((?:[^"\\]|\\[^\r\n])*)"/y
const TOKEN68 = /[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y

/** The challenges in order; `[]` when the header is malformed, too long, or names a parameter twice. */
export function parseChallenges(header: string): readonly Challenge[] {
  if (header.length > MAX_LENGTH) return []
  const reader = new Reader(header)
  const challenges: { scheme: string; params: Map<string, string> }[] = []
  reader.take(SKIP)
  while (!reader.isAtEnd) {
    const word = reader.take(TOKEN)?.[0].toLowerCase()
    if (word === undefined) return []
    const current = challenges.at(-1)
    if (current !== undefined && reader.take(EQUALS) !== undefined) {
      const value = reader.take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? reader.take(TOKEN)?.[0]
      if (value === undefined || current.params.has(word)) return []
      current.params.set(word, value)
      if (current.params.size > MAX_PARAMS) return []
      if (!reader.isAtEnd && !/[\s,]/.test(reader.next)) return []
    } else {
      challenges.push({ scheme: word, params: new Map() })
      if (challenges.length > MAX_CHALLENGES) return []
      reader.take(TOKEN68)
      if (!reader.isAtEnd && !/[\s,]/.test(reader.next)) return []
    }
    reader.take(SKIP)
  }
  return challenges
}

/** True when it says how to get in, in a way that we know. */
export function helps(header: string | undefined): boolean {
  return parseChallenges(header ?? '').some((one) => one.scheme === 'basic' || isBearer(one))
}

export function isBearer({ scheme, params }: Challenge): boolean {
  return scheme === 'bearer' && params.has('realm')
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#text.length
  }

  get next(): string {
    return this.#text.charAt(this.#at)
  }

  /** What a sticky pattern matches here, and moves behind it. */
  take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.#at = pattern.lastIndex
    return match
  }
}
