/** Typed access to the fields of one JSON object, read as Go clients read it. */
import { isJsonObject, type JsonObject, type JsonValue, malformed } from './json.ts'
import { asMeant, type KnownKeys } from './key-case.ts'

/** Fields of an object; each getter throws `badManifest` for a wrong type. `null` is absent, as in Go. */
export class Fields {
  /** With every known key as it is spelled right. */
  readonly raw: JsonObject
  readonly #what: string

  /** Throws when two keys can be meant for a known one. */
  constructor(raw: JsonObject, what: string, known: KnownKeys) {
    this.raw = asMeant(raw, what, known)
    this.#what = what
  }

  has(key: string): boolean {
    return Object.hasOwn(this.raw, key)
  }

  string(key: string): string {
    return this.optionalString(key) ?? this.#missing(key)
  }

  optionalString(key: string): string | undefined {
    const value = this.#get(key)
    if (value === undefined || typeof value === 'string') return value
    throw this.wrong(key, 'is not a string')
  }

  /** A whole number from 0. */
  size(key: string): number {
    const value = this.#get(key) ?? this.#missing(key)
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
    throw this.wrong(key, 'is not a whole number from 0')
  }

  object(key: string): JsonObject {
    return this.optionalObject(key) ?? this.#missing(key)
  }

  optionalObject(key: string): JsonObject | undefined {
    const value = this.#get(key)
    if (value === undefined || isJsonObject(value)) return value
    throw this.wrong(key, 'is not an object')
  }

  /** The key must be there, but may be `null`, which is how Go writes an empty list. */
  objects(key: string): readonly JsonObject[] {
    if (!this.has(key)) this.#missing(key)
    const values = this.#list(key) ?? []
    if (values.every(isJsonObject)) return values
    throw this.wrong(key, 'holds something that is not an object')
  }

  optionalStrings(key: string): readonly string[] | undefined {
    const values = this.#list(key)
    if (values?.every((value) => typeof value === 'string') ?? true) {
      return values as readonly string[] | undefined
    }
    throw this.wrong(key, 'holds something that is not a string')
  }

  optionalStringMap(key: string): Readonly<Record<string, string>> | undefined {
    const map = this.optionalObject(key)
    if (map === undefined) return undefined
    if (Object.values(map).every((value) => typeof value === 'string')) {
      return map as Readonly<Record<string, string>>
    }
    throw this.wrong(key, 'holds a value that is not a string')
  }

  wrong(key: string, problem: string, reason = 'field'): Error {
    return malformed(this.#what, `is malformed: "${key}" ${problem}`, reason)
  }

  #list(key: string): readonly JsonValue[] | undefined {
    const value = this.#get(key)
    if (value === undefined) return undefined
    if (Array.isArray(value)) return value as readonly JsonValue[]
    throw this.wrong(key, 'is not a list')
  }

  #get(key: string): JsonValue | undefined {
    return this.has(key) ? (this.raw[key] ?? undefined) : undefined
  }

  #missing(key: string): never {
    throw this.wrong(key, 'is missing')
  }
}
