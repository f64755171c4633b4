/** Pure: a request's path and query into what it asks for (distribution-spec 1.1 "Endpoints", pull side). */
import { CrossdockError } from '../errors.ts'
import { type Digest, parseDigest } from '../oci/digest.ts'
import { parseName, parseTag } from '../oci/reference.ts'

export type Reference = { readonly tag: string } | { readonly digest: Digest }

export type Route =
  | { readonly kind: 'base'; readonly profile?: string }
  | {
      readonly kind: 'manifest'
      readonly name: string
      readonly reference: Reference
      readonly profile?: string
    }
  | {
      readonly kind: 'blob'
      readonly name: string
      readonly digest: Digest
      readonly profile?: string
    }
  | { readonly kind: 'tags'; readonly name: string; readonly profile?: string }
  | {
      readonly kind: 'referrers'
      readonly name: string
      readonly digest: Digest
      readonly profile?: string
    }

const MIRROR_PREFIX = /^\/as\/([^/]+)\/v2(\/.*)?$/
const BASE = /^\/v2(\/.*)?$/
const PATH_PREFIX = /^as\/([^/]+)\/(.+)$/
const ENDPOINT = /^(.+)\/(manifests|blobs|referrers)\/([^/]+)$/
const TAGS = /^(.+)\/tags\/list$/

/**
 * Of a path as `parseTarget` leaves it. `undefined`: no such endpoint. Throws `nameInvalid`, `tagInvalid`, `digestInvalid`, `requestInvalid`, and `nameUnknown` for
 * `/as/<unknown>/v2/`.
 */
export function parseRoute(path: string, isProfile: (name: string) => boolean): Route | undefined {
  const mirror = MIRROR_PREFIX.exec(path)
  if (mirror !== null) {
    const profile = mirror[1] ?? ''
    if (!isProfile(profile)) throw unknownProfile(profile)
    return parseEndpoint((mirror[2] ?? '/').slice(1), profile)
  }
  const rest = BASE.exec(path)
  if (rest === null) return undefined
  const endpoint = (rest[1] ?? '/').slice(1)
  const prefixed = PATH_PREFIX.exec(endpoint)
  const profile = prefixed?.[1]
  // `as` is a repository's first component unless a profile's name follows.
  if (prefixed && profile !== undefined && isProfile(profile)) {
    return parseEndpoint(prefixed[2] ?? '', profile)
  }
  return parseEndpoint(endpoint, undefined)
}

function parseEndpoint(endpoint: string, given: string | undefined): Route | undefined {
  const profile = given === undefined ? {} : { profile: given }
  if (endpoint === '') return { kind: 'base', ...profile }
  if (endpoint === '_catalog') return undefined
  const tags = TAGS.exec(endpoint)
  if (tags !== null) return { kind: 'tags', name: parsePath(tags[1]), ...profile }
  const match = ENDPOINT.exec(endpoint)
  if (match === null) return undefined
  const name = parsePath(match[1])
  const last = match[3] ?? ''
  if (match[2] === 'manifests') {
    return { kind: 'manifest', name, reference: parseManifestReference(last), ...profile }
  }
  const digest = parseDigest(last)
  return match[2] === 'blobs'
    ? { kind: 'blob', name, digest, ...profile }
    : { kind: 'referrers', name, digest, ...profile }
}

function parseManifestReference(text: string): Reference {
  return text.includes(':') ? { digest: parseDigest(text) } : { tag: parseTag(text) }
}

/**
 * The first component may be an upstream's host with a port; the rest is a repository's name. A slash may be escaped, since a
 * name has slashes; no other escape is left that a name could hold.
 */
function parsePath(escaped = ''): string {
  const path = escaped.replaceAll('%2F', '/')
  if (path.includes('%')) {
    throw new CrossdockError(
      'nameInvalid',
      `repository name ${JSON.stringify(path.slice(0, 160))} must not hold "%"; use lower-case letters, digits and . _ - /`,
    )
  }
  const slash = path.indexOf('/')
  const first = slash < 0 ? path : path.slice(0, slash)
  const isHost = slash > 0 && /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?$/.test(first)
  if (isHost && /[.:[]|^localhost$/.test(first)) {
    parseName(path.slice(slash + 1))
    return path
  }
  return parseName(path)
}

export function unknownProfile(name: string, profiles?: readonly string[]): CrossdockError {
  const known = profiles ? `; profiles here: ${profiles.join(', ')}` : ''
  return new CrossdockError(
    'nameUnknown',
    `profile ${JSON.stringify(name.slice(0, 80))} does not exist${known}`,
    { reason: 'unknown-profile' },
  )
}
