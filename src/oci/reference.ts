/** Names, tags and references (distribution-spec 1.1 "Pulling manifests"), each parsed by one function. */
import { CrossdockError } from '../errors.ts'
import { type Digest, parseDigest } from './digest.ts'

/** What one types after `docker pull`. */
export interface ImageReference {
  /** As typed: a host or an upstream's name may come first. Which upstream it means is not decided here. */
  readonly name: string
  /** `latest` when neither tag nor digest was typed. */
  readonly tag?: string
  readonly digest?: Digest
}

const ALPHANUMERIC = '[a-z0-9]+'
const SEPARATOR = '(?:[.]|_|__|-+)'
const COMPONENT = `${ALPHANUMERIC}(?:${SEPARATOR}${ALPHANUMERIC})*`
const NAME = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?$/
const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i

const MAX_TAG_LENGTH = 128

/** Many registries and clients set this limit, host included. */
const MAX_NAME_LENGTH = 255

export function isName(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && NAME.test(text)
}

/** A repository's name. Throws `nameInvalid`. */
export function parseName(text: string): string {
  if (isName(text)) return text
  throw new CrossdockError(
    'nameInvalid',
    `repository name ${quote(text)} is not valid; use at most ${MAX_NAME_LENGTH} lower-case letters, digits and single . _ - / between them`,
  )
}

export function isTag(text: string): boolean {
  return TAG.test(text)
}

/** Throws `tagInvalid`. */
export function parseTag(text: string): string {
  if (TAG.test(text)) return text
  throw new CrossdockError(
    'tagInvalid',
    `tag ${quote(text)} is not valid; use at most 128 letters, digits and . _ -, not starting with . or -`,
  )
}

/** `3-zstd` is tag `3` with suffix `zstd`: the longest suffix that leaves a valid tag. Suffixes come without their dash. */
export function splitSuffix(
  tag: string,
  suffixes: Iterable<string>,
): { readonly base: string; readonly suffix: string } | undefined {
  let found: { readonly base: string; readonly suffix: string } | undefined
  for (const suffix of suffixes) {
    if (suffix === '' || !tag.endsWith(`-${suffix}`)) continue
    const base = tag.slice(0, -suffix.length - 1)
    if (TAG.test(base) && suffix.length > (found?.suffix.length ?? 0)) found = { base, suffix }
  }
  return found
}

/** Where referrers are listed by the referrers tag schema (distribution-spec 1.1): `sha256-<hex>`. */
export function referrersTag(subject: Digest): string {
  return subject.replace(':', '-').slice(0, MAX_TAG_LENGTH)
}

export function isReferrersTag(tag: string): boolean {
  return /^(?:sha256-[0-9a-f]{64}|sha512-[0-9a-f]{121})$/.test(tag)
}

/** `[host[:port]/]name[:tag][@digest]`. Throws `nameInvalid`, `tagInvalid`, `digestInvalid`. */
export function parseReference(text: string): ImageReference {
  if (SCHEME.test(text)) {
    throw new CrossdockError(
      'nameInvalid',
      `reference ${quote(text)} starts like a URL; leave out everything up to ://`,
    )
  }
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : parseDigest(text.slice(at + 1))
  const tagged = at < 0 ? text : text.slice(0, at)
  // A colon before the last slash belongs to a port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1)
  const name = parseHostedName(colon < 0 ? tagged : tagged.slice(0, colon))
  if (colon >= 0) {
    const tag = parseTag(tagged.slice(colon + 1))
    return digest === undefined ? { name, tag } : { name, tag, digest }
  }
  return digest === undefined ? { name, tag: 'latest' } : { name, digest }
}

/** Only a host may have capitals, brackets and a port. */
function parseHostedName(text: string): string {
  const slash = text.indexOf('/')
  const first = text.slice(0, Math.max(0, slash))
  const isHost = HOST.test(first) && (first === 'localhost' || /[.:[]/.test(first))
  if (!isHost) return parseName(text)
  parseName(text.slice(slash + 1))
  return text
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 160))
}
