/** Pure: keys of JSON objects as Go clients read them, who take one that differs in case alone for the one that they know. */
import { isJsonObject, type JsonObject, type JsonValue, malformed } from './json.ts'

/** The keys that clients know of one kind of object, by their case-folded form. */
export type KnownKeys = ReadonlyMap<string, string>

export function knownKeys(...keys: readonly string[]): KnownKeys {
  return new Map(keys.map((key) => [fold(key), key]))
}

/** The object with every key as it is meant. Throws `badManifest` when two keys can be meant for one, since then clients differ. */
export function asMeant(raw: JsonObject, what: string, known: KnownKeys): JsonObject {
  const isOdd = (key: string) => (known.get(fold(key)) ?? key) !== key
  if (!Object.keys(raw).some(isOdd)) return raw
  const meant = new Map<string, JsonValue | undefined>()
  for (const [key, value] of Object.entries(raw)) {
    const name = known.get(fold(key)) ?? key
    if (meant.has(name)) {
      const problem = `has two keys that some clients read as "${name}"`
      throw malformed(what, problem, 'json-key-case')
    }
    meant.set(name, value)
  }
  return Object.fromEntries(meant)
}

export const IMAGE_KEYS = ['config', 'layers'] as const
export const INDEX_KEYS = ['manifests'] as const
export const SCHEMA_1_KEYS = ['fsLayers', 'history'] as const
export const MANIFEST_KEYS: KnownKeys = knownKeys(
  'schemaVersion',
  'mediaType',
  'artifactType',
  'subject',
  'annotations',
  ...IMAGE_KEYS,
  ...INDEX_KEYS,
  ...SCHEMA_1_KEYS,
)
export const DESCRIPTOR_KEYS: KnownKeys = knownKeys(
  'mediaType',
  'digest',
  'size',
  'urls',
  'annotations',
  'data',
  'platform',
  'artifactType',
)
export const PLATFORM_KEYS: KnownKeys = knownKeys(
  'architecture',
  'os',
  'os.version',
  'os.features',
  'variant',
)

/** A manifest whose known keys, down to its descriptors' platforms, are spelled right: for clients that take keys as they are. */
export function spelledRight(document: JsonObject, what: string): JsonObject {
  const raw: Record<string, JsonValue | undefined> = { ...asMeant(document, what, MANIFEST_KEYS) }
  for (const key of ['config', 'subject']) {
    if (Object.hasOwn(raw, key)) raw[key] = descriptorSpelledRight(raw[key], what)
  }
  for (const key of ['layers', 'manifests']) {
    const list = Object.hasOwn(raw, key) ? raw[key] : undefined
    if (!Array.isArray(list)) continue
    raw[key] = (list as readonly JsonValue[]).map((one) => descriptorSpelledRight(one, what))
  }
  return raw
}

function descriptorSpelledRight(value: JsonValue, what: string): JsonValue
function descriptorSpelledRight(value: JsonValue | undefined, what: string): JsonValue | undefined
function descriptorSpelledRight(value: JsonValue | undefined, what: string) {
  if (!isJsonObject(value)) return value
  const descriptor = asMeant(value, what, DESCRIPTOR_KEYS)
  const { platform } = descriptor
  if (!isJsonObject(platform)) return descriptor
  return { ...descriptor, platform: asMeant(platform, what, PLATFORM_KEYS) }
}

/** Upper case first: Go folds the long s (U+017F) and the Kelvin sign (U+212A) as well. */
export function fold(key: string): string {
  return key.toUpperCase().toLowerCase()
}
