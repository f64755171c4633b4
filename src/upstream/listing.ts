/** Tag lists and referrers of an upstream: all pages, within bounds, and from the registry itself. */
import { CrossdockError } from '../errors.ts'
import { algorithmOf, type Digest, hexOf, isDigest } from '../oci/digest.ts'
import type { Descriptor, Platform } from '../oci/manifest.ts'
import type { TagPage } from '../ports/upstream.ts'
import type { Answer } from './answer.ts'
import { parseObject } from './json.ts'
import { nextPage } from './next-page.ts'

/** Asks the registry for what follows a repository's name, and reads the answer as a whole. */
export type Get = (rest: string) => Promise<Answer>

const MAX_PAGES = 50
const TAGS = 'tags/list'
const TAG = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/
const INDEX_TYPES = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
])

/**
 * One page, as the registry cuts it. Where its next page goes by a token of its own (Quay), which our clients could not hand
 * back, the pages are read on here.
 */
export async function readTags(
  get: Get,
  page: { readonly n?: number | undefined; readonly last?: string | undefined },
  what: string,
): Promise<TagPage | undefined> {
  let query = new URLSearchParams()
  if (page.n !== undefined) query.set('n', String(page.n))
  if (page.last !== undefined) query.set('last', page.last)
  const tags: string[] = []
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const answer = await get(withQuery(TAGS, query))
    if (answer.status !== 200) {
      await answer.discard()
      if (pages > 0) throw pageMissing(answer, what)
      return undefined
    }
    for (const tag of tagsIn(parseObject(answer.bytes, what))) tags.push(tag)
    const next = nextPage(answer.header('link'), answer.url, TAGS, what)
    if (next === undefined) return cutPage(tags, page)
    const last = next.get('last')
    const isOurs = [...next.keys()].every((key) => key === 'n' || key === 'last')
    if (last !== null && isOurs) {
      const n = Number(next.get('n')) || page.n
      return { tags, next: { last, ...(n !== undefined && { n }) } }
    }
    query = next
  }
  throw tooManyPages(what)
}

/**
 * The page that was asked for, where the registry sent every tag instead (distribution before 3 does). That shows by the tag
 * after which it should have begun; without it the page is as it should be, in whatever order the registry has its tags.
 */
function cutPage(
  tags: readonly string[],
  {
    n = tags.length,
    last,
  }: { readonly n?: number | undefined; readonly last?: string | undefined },
): TagPage {
  const isWhole = last !== undefined && tags.includes(last)
  // Where we cut we sort, so what comes first in our order was sent before.
  const rest = isWhole ? tags.filter((tag) => tag > last) : tags
  if (rest.length <= n) return { tags: rest }
  const cut = rest.toSorted().slice(0, n)
  const end = cut.at(-1)
  return end === undefined ? { tags: cut } : { tags: cut, next: { n, last: end } }
}

/** distribution-spec "Listing Referrers", with the tag schema where the registry has no such API. */
export async function readReferrers(
  get: Get,
  subject: Digest,
  what: string,
): Promise<readonly Descriptor[]> {
  const list = `referrers/${subject}`
  const found: Descriptor[] = []
  let query = new URLSearchParams()
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const answer = await get(withQuery(list, query))
    if (answer.status !== 200 || !INDEX_TYPES.has(answer.contentType ?? '')) {
      await answer.discard()
      if (pages > 0) throw pageMissing(answer, what)
      return await readTagSchema(get, subject, what)
    }
    for (const one of descriptorsIn(parseObject(answer.bytes, what))) found.push(one)
    const next = nextPage(answer.header('link'), answer.url, list, what)
    if (next === undefined) return found
    query = next
  }
  throw tooManyPages(what)
}

async function readTagSchema(
  get: Get,
  subject: Digest,
  what: string,
): Promise<readonly Descriptor[]> {
  const tag = `${algorithmOf(subject)}-${hexOf(subject).slice(0, 64)}`
  const answer = await get(`manifests/${tag}`)
  if (answer.status !== 200 || !INDEX_TYPES.has(answer.contentType ?? '')) {
    await answer.discard()
    return []
  }
  return descriptorsIn(parseObject(answer.bytes, what))
}

function withQuery(list: string, query: URLSearchParams): string {
  return query.size > 0 ? `${list}?${query}` : list
}

function tagsIn(body: Readonly<Record<string, unknown>>): string[] {
  const { tags } = body
  if (!Array.isArray(tags)) return []
  return tags.filter((tag): tag is string => typeof tag === 'string' && TAG.test(tag))
}

function descriptorsIn(body: Readonly<Record<string, unknown>>): Descriptor[] {
  const { manifests } = body
  return Array.isArray(manifests) ? manifests.flatMap((one) => parseDescriptor(one) ?? []) : []
}

/** A malformed entry is left out: it describes nothing that could be fetched. */
function parseDescriptor(value: unknown): Descriptor | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { mediaType, digest, size, artifactType, annotations, platform } = value as Record<
    string,
    unknown
  >
  if (typeof mediaType !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) return undefined
  return {
    mediaType,
    digest,
    size,
    ...(typeof artifactType === 'string' && { artifactType }),
    ...(isStringMap(annotations) && { annotations }),
    ...(isPlatform(platform) && { platform }),
  }
}

function isStringMap(value: unknown): value is Readonly<Record<string, string>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((one) => typeof one === 'string')
  )
}

function isPlatform(value: unknown): value is Platform {
  if (typeof value !== 'object' || value === null) return false
  const { os, architecture } = value as Record<string, unknown>
  return typeof os === 'string' && typeof architecture === 'string'
}

/** Half a list would pass for a whole one. */
function pageMissing(answer: Answer, what: string): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `${what}: ${answer.url.host} names a next page and does not have it (${answer.status}); try again`,
    { reason: 'next-page' },
  )
}

function tooManyPages(what: string): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `${what}: more than ${MAX_PAGES} pages; ask for a part of the list`,
    { reason: 'pages' },
  )
}
