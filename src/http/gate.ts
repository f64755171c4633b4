/** What the policy says to a request: to its repository, its profile, and to the profile that a manifest was made for. */
import type { Access } from '../access/access.ts'
import type { Principal } from '../access/policy.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName, isSameRepository, type Repository } from '../oci/repository.ts'
import type { Catalog } from '../ports/catalog.ts'

export interface Asker {
  readonly principal: Principal | undefined
  readonly repository: Repository
}

/** Who asks for a tag without a profile asks for this one. */
const ORIGINAL = 'original'

export class Gate {
  readonly #access: Access
  readonly #catalog: Pick<Catalog, 'links' | 'conversions'>

  constructor(deps: {
    readonly access: Access
    readonly catalog: Pick<Catalog, 'links' | 'conversions'>
  }) {
    this.#access = deps.access
    this.#catalog = deps.catalog
  }

  /** One of several profiles is enough; without any the repository alone counts. Throws `nameUnknown`. */
  admit({ principal, repository }: Asker, profile?: string | readonly string[]): void {
    this.#access.authorize(principal, {
      repository: `${fullName(repository)}`,
      profile,
    })
  }

  allows({ principal, repository }: Asker, profile: string): boolean {
    return this.#access.allows(principal, { repository: fullName(repository), profile })
  }

  /** A digest says no profile, but what was converted was converted for one. */
  async admitDigest(asker: Asker, digest: Digest): Promise<void> {
    if (asker.principal !== undefined) this.admit(asker, await this.#profilesOf(asker, digest))
  }

  /** What a tag without a profile gave: the original, or offline what took its place. */
  async admitPlain(asker: Asker, digest: Digest): Promise<void> {
    if (asker.principal === undefined) return
    this.admit(asker, (await this.#profilesOf(asker, digest)) ?? ORIGINAL)
  }

  /** `undefined` for what was not converted here; empty for a conversion that nobody remembers. */
  async #profilesOf({ repository }: Asker, digest: Digest): Promise<string[] | undefined> {
    const link = await this.#catalog.links.find(repository, digest)
    if (link?.standing !== 'made') return undefined
    const { conversions } = this.#catalog
    const targets = await conversions.listImages({ target: digest })
    return [...targets, ...(await conversions.listImages({ output: digest }))]
      .filter((one) => isSameRepository(one.repository, repository))
      .map(({ recipe }) => recipe.profile)
  }
}
