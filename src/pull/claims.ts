/**
 * Pure: what a sidecar says of the tags and repositories that name its manifest. Every new one rewrites all of it, so only the
 * youngest stay: others may hang a thousand tags on one manifest, and the catalog, which knows them all, seldom needs the claims.
 */
import type { Repository } from '../oci/repository.ts'
import type { Place } from '../ports/sidecars.ts'

/** Tags of one repository on one manifest; an image that people tag by hand has a dozen. */
const MAX_TAGS = 128
/** Repositories with the same manifest. */
const MAX_PLACES = 256

export interface TagClaim {
  readonly name: string
  /** ms since 1970. */
  readonly at: number
}

/** The places with this repository as the last one, the tag among its claims. */
export function claimPlace(
  places: readonly Place[],
  { upstream, name }: Repository,
  tag?: TagClaim,
): readonly Place[] {
  const here = places.find((place) => place.upstream === upstream && place.name === name)
  const tags = claimTag(here?.tags ?? {}, tag)
  const elsewhere = places.filter((place) => place !== here)
  return [...elsewhere, { ...here, upstream, name, tags }].slice(-MAX_PLACES)
}

export function claimTag(tags: Place['tags'], tag: TagClaim | undefined): Place['tags'] {
  if (tag === undefined) return tags
  const claims = Object.entries({ ...tags, [tag.name]: tag.at })
  if (claims.length <= MAX_TAGS) return Object.fromEntries(claims)
  return Object.fromEntries(claims.sort(([, a], [, b]) => b - a).slice(0, MAX_TAGS))
}
