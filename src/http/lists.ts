/** Tag lists and referrers: upstream's own, passed on; offline what an import brought. Before referrers comes what stands by here. */
import type { Profile, Profiles } from '../config/profiles.ts'
import type { Attachments } from '../convert/attachments.ts'
import { CrossdockError, isOutage } from '../errors.ts'
import { printableJson } from '../lib/printable.ts'
import type { Digest } from '../oci/digest.ts'
import type { Descriptor } from '../oci/manifest.ts'
import { childrenOf } from '../oci/outline.ts'
import { isReferrersTag, referrersTag } from '../oci/reference.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { TagPage, Upstreams } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Exchange } from './exchange.ts'
import type { Headers } from './headers.ts'

const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json'
const MAX_TAG_LENGTH = 128
const MAX_LAST_LENGTH = 255
/** The most tags that one page may ask for. */
const MAX_PAGE = 1000

export interface ListsDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly upstreams: Upstreams
  readonly profiles: Profiles
  readonly attachments: Pick<Attachments, 'list'>
  readonly offline: boolean
}

export class Lists {
  readonly #deps: ListsDeps

  constructor(deps: ListsDeps) {
    this.#deps = deps
  }

  /** `GET /v2/<name>/tags/list?n=&last=`, plus `profiles=1` for the suffixed names. */
  async tags(
    exchange: Exchange,
    repository: Repository,
    params: URLSearchParams,
    path: string,
    headers: Headers,
  ): Promise<void> {
    const asked = { n: parseCount(params.get('n')), last: parseLast(params.get('last')) }
    const page = this.#deps.offline
      ? await this.#storedTags(repository, asked)
      : await this.#deps.upstreams.find(repository.upstream)?.tags(repository.name, asked)
    if (page === undefined) {
      throw new CrossdockError(
        'nameUnknown',
        `repository ${fullName(repository)} is not there; check its name`,
      )
    }
    const withProfiles = params.get('profiles') === '1'
    const tags = withProfiles ? page.tags.flatMap((tag) => this.#suffixed(tag)) : page.tags
    const next = page.next && nextLink(path, page.next, withProfiles, params.get('ns'))
    exchange.send(
      200,
      { ...headers, 'Content-Type': 'application/json', ...(next && { Link: next }) },
      printableJson({ name: repository.name, tags }),
    )
  }

  /** `GET /v2/<name>/referrers/<digest>?artifactType=`; never 404. `attached`: profiles that stand by for the repository's images. */
  async referrers(
    exchange: Exchange,
    {
      repository,
      attached,
    }: { readonly repository: Repository; readonly attached: readonly Profile[] },
    digest: Digest,
    params: URLSearchParams,
    headers: Headers,
  ): Promise<void> {
    // A plus that is not encoded means a space, which no media type has.
    const artifactType = params.get('artifactType')?.replaceAll(' ', '+')
    const others = this.#others(repository, digest)
    others.catch(() => undefined)
    const own = await this.#deps.attachments.list(repository, digest, attached, artifactType)
    const rest = await others.catch((error): readonly Descriptor[] => {
      // Who asks for one type, and gets it here, can do without upstream.
      if (own.length > 0 && artifactType !== undefined && isOutage(error)) return []
      throw error
    })
    const ownDigests = new Set(own.map((one) => one.digest))
    const isMeant = (one: Descriptor) =>
      !ownDigests.has(one.digest) &&
      (artifactType === undefined || one.artifactType === artifactType)
    const manifests = [...own, ...rest.filter(isMeant)]
    exchange.send(
      200,
      {
        ...headers,
        'Content-Type': INDEX_TYPE,
        ...(artifactType !== undefined && { 'OCI-Filters-Applied': 'artifactType' }),
      },
      printableJson({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests }),
    )
  }

  async #others(repository: Repository, digest: Digest): Promise<readonly Descriptor[]> {
    if (this.#deps.offline) return await this.#storedReferrers(repository, digest)
    return (
      (await this.#deps.upstreams.find(repository.upstream)?.referrers(repository.name, digest)) ??
      []
    )
  }

  async #storedTags(
    repository: Repository,
    asked: { readonly n: number | undefined; readonly last: string | undefined },
  ): Promise<TagPage | undefined> {
    const tags: string[] = []
    for await (const { tag } of this.#deps.catalog.tags.list(repository)) {
      if (!isReferrersTag(tag)) tags.push(tag)
    }
    if (tags.length === 0) return undefined
    const { n = tags.length, last } = asked
    const rest = last === undefined ? tags : tags.filter((tag) => tag > last)
    const page = rest.slice(0, n)
    const end = page.at(-1)
    return rest.length > n && end !== undefined
      ? { tags: page, next: { n, last: end } }
      : { tags: page }
  }

  /** An import leaves them as the referrers tag schema says, which old clients ask for as well. */
  async #storedReferrers(repository: Repository, digest: Digest): Promise<readonly Descriptor[]> {
    const tag = await this.#deps.catalog.tags.find(repository, referrersTag(digest))
    const raw = tag && (await this.#deps.manifests.findLocal(repository, tag.digest))
    return raw ? childrenOf(this.#deps.manifests.outline(raw)) : []
  }

  #suffixed(tag: string): string[] {
    const names = this.#deps.profiles.names.map((profile) => `${tag}-${profile}`)
    return [tag, ...names.filter((name) => name.length <= MAX_TAG_LENGTH)]
  }
}

/** Where a page begins is a tag to us and to most registries; it goes upstream, so it has a bound. */
function parseLast(text: string | null): string | undefined {
  if (text === null || text.length <= MAX_LAST_LENGTH) return text ?? undefined
  throw new CrossdockError(
    'requestInvalid',
    `query last has ${text.length} characters, more than ${MAX_LAST_LENGTH}; take it from the Link of the page before`,
  )
}

function parseCount(text: string | null): number | undefined {
  if (text === null) return undefined
  if (!/^\d{1,9}$/.test(text)) {
    throw new CrossdockError(
      'requestInvalid',
      `query n=${JSON.stringify(text.slice(0, 40))} is not a number of tags; use 0 to ${MAX_PAGE}`,
    )
  }
  return Math.min(Number(text), MAX_PAGE)
}

function nextLink(
  path: string,
  next: NonNullable<TagPage['next']>,
  withProfiles: boolean,
  ns: string | null,
): string {
  const query = new URLSearchParams()
  if (next.n !== undefined) query.set('n', String(next.n))
  if (next.last !== undefined) query.set('last', next.last)
  if (withProfiles) query.set('profiles', '1')
  if (ns !== null) query.set('ns', ns)
  return `<${path}?${query}>; rel="next"`
}
