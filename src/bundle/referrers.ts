/** What refers to a manifest: signatures, SBOMs and the like, as upstream lists them or as an import left them here. */
import { CrossdockError, isOutage } from '../errors.ts'
import { type Digest, hexOf } from '../oci/digest.ts'
import { childrenOf } from '../oci/outline.ts'
import { isTag, referrersTag } from '../oci/reference.ts'
import { fullName, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Upstreams } from '../ports/upstream.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { Tags } from '../pull/tags.ts'

export interface Referrer {
  readonly digest: Digest
  /** Set when a tag leads to it and no `subject` field. */
  readonly tag?: string | undefined
}

/** Tags that cosign hangs on an image: `sha256-<hex>.sig`. */
const COSIGN_SUFFIXES = ['sig', 'att', 'sbom'] as const

export interface ReferrersDeps {
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly tags: Tags
  readonly upstreams: Upstreams
  readonly offline: boolean
}

export class Referrers {
  readonly #deps: ReferrersDeps
  /** What upstreams would not say, for people. */
  readonly warnings: string[] = []

  constructor(deps: ReferrersDeps) {
    this.#deps = deps
  }

  async list(repository: Repository, subject: Digest): Promise<readonly Referrer[]> {
    const found = new Map<Digest, Referrer>()
    for (const digest of await this.#listed(repository, subject)) found.set(digest, { digest })
    for (const suffix of COSIGN_SUFFIXES) {
      const tag = `${referrersTag(subject)}.${suffix}`
      // Of a sha512 it would be longer than a tag can be.
      if (!isTag(tag)) continue
      const resolved = await this.#deps.tags.resolveLiteral(repository, tag)
      if (resolved !== undefined) found.set(resolved.digest, { digest: resolved.digest, tag })
    }
    return [...found.values()]
  }

  async #listed(repository: Repository, subject: Digest): Promise<readonly Digest[]> {
    const stored = await storedReferrers(
      this.#deps.catalog,
      this.#deps.manifests,
      repository,
      subject,
    )
    const upstream = this.#deps.offline ? undefined : this.#deps.upstreams.find(repository.upstream)
    if (upstream === undefined) return stored
    try {
      const listed = await upstream.referrers(repository.name, subject)
      return [...stored, ...listed.map(({ digest }) => digest)]
    } catch (error) {
      const isRefusal = error instanceof CrossdockError && error.kind === 'denied'
      if (!isOutage(error) && !isRefusal) throw error
      this.warnings.push(
        `${fullName(repository)} did not say what refers to ${hexOf(subject).slice(0, 12)}: ${(error as Error).message}`,
      )
      return stored
    }
  }
}

/** What an import left under the tag of the referrers tag schema. */
async function storedReferrers(
  catalog: Catalog,
  manifests: Manifests,
  repository: Repository,
  subject: Digest,
): Promise<readonly Digest[]> {
  const tag = await catalog.tags.find(repository, referrersTag(subject))
  const raw = tag && (await manifests.findLocal(repository, tag.digest))
  return raw ? childrenOf(manifests.outline(raw)).map(({ digest }) => digest) : []
}
