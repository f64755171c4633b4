/** Makes an import known: manifests and their links first, then how they were made, who refers to whom, and tags last. */

import type { Publisher } from '../convert/publisher.ts'
import type { Digest } from '../oci/digest.ts'
import { blobsOf, referredBy } from '../oci/outline.ts'
import { referrersTag } from '../oci/reference.ts'
import type { Repository } from '../oci/repository.ts'
import type { BlobStore } from '../ports/blobs.ts'
import type { Catalog } from '../ports/catalog.ts'
import type { Clock } from '../ports/clock.ts'
import type { Link } from '../ports/links.ts'
import type { SidecarStore } from '../ports/sidecars.ts'
import { type CarriedList, linkList, recordCarriedList } from '../priorities/known-lists.ts'
import { listIn } from '../priorities/stored-lists.ts'
import type { Manifests } from '../pull/manifests.ts'
import type { BundlePlan, PlannedManifest } from './bundle-plan.ts'
import { keyOf } from './cargo.ts'
import type { BundledConversion } from './description.ts'
import { addReferrer } from './referrers-index.ts'
import type { Remade } from './remade-check.ts'

export interface RegisterDeps {
  readonly store: BlobStore
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly manifests: Manifests
  readonly publisher: Publisher
  readonly clock: Clock
}

export class Register {
  readonly #deps: RegisterDeps

  constructor(deps: RegisterDeps) {
    this.#deps = deps
  }

  /** All blobs are in the store already. A failure on the way leaves no tag that leads nowhere. */
  async record(plan: BundlePlan, remade: Remade): Promise<void> {
    const { conversions } = plan
    const made = new Set(conversions.map((one) => keyOf(one.repository, one.target)))
    for (const [{ repository }, { beside }] of remade) {
      for (const { digest } of beside.documents) made.add(keyOf(repository, digest))
    }
    for (const one of plan.manifests) {
      if (!made.has(keyOf(one.repository, one.raw.digest))) await this.#recordSource(one, plan)
    }
    const manifests = new Map(
      plan.manifests.map((one) => [keyOf(one.repository, one.raw.digest), one]),
    )
    for (const one of conversions) {
      await this.#recordConversion(one, plan, manifests, remade)
    }
    for (const one of plan.lists) await this.#recordList(one)
    for (const { repository, platform } of plan.platforms) {
      await this.#deps.catalog.platforms.learn(repository, platform, this.#deps.clock.now())
    }
    await this.#recordReferrers(plan.manifests)
    for (const one of plan.manifests) await this.#recordTags(one)
  }

  async #recordSource(one: PlannedManifest, plan: BundlePlan): Promise<void> {
    await this.#deps.manifests.record(one.repository, one.raw)
    await this.#deps.catalog.links.record(one.repository, await this.#linksOf(one, plan.blobs))
  }

  /** What of a manifest's config and layers, and of what its readers need besides, the bundle brought. */
  async #linksOf({ parsed }: PlannedManifest, blobs: ReadonlySet<Digest>): Promise<Link[]> {
    const referred = await Promise.all(
      referredBy(parsed).map((digest) => this.#deps.store.stat(digest)),
    )
    return [...blobsOf(parsed), ...referred.filter((stat) => stat !== undefined)]
      .filter(({ digest }) => blobs.has(digest))
      .map(({ digest, size }) => ({ digest, size, standing: 'proven' }))
  }

  /** Like a conversion that was made here. */
  async #recordConversion(
    made: BundledConversion,
    plan: BundlePlan,
    manifests: ReadonlyMap<string, PlannedManifest>,
    remade: Remade,
  ): Promise<void> {
    const source = manifests.get(keyOf(made.repository, made.source))
    const target = manifests.get(keyOf(made.repository, made.target))
    // A plan that was checked has both.
    if (source === undefined || target === undefined) return
    const { beside, layers = made.layers } = remade.get(made) ?? {}
    const making = { ...made, layers, convertedAt: this.#deps.clock.now(), seconds: 0 }
    for (const one of beside?.documents ?? []) await this.#deps.manifests.put(one)
    await this.#deps.publisher.publish(target.raw, source.raw, making, beside)
    await this.#linkOwnList(made, plan)
    // What was converted for the near side is what pullers on the far side will want converted.
    const { children } = made.recipe
    if (children === undefined || source.parsed.kind !== 'index') return
    for (const { digest, platform } of source.parsed.manifests) {
      const isMeant = children.includes(digest) && platform && platform.os !== 'unknown'
      if (!isMeant) continue
      await this.#deps.catalog.platforms.learn(made.repository, platform, this.#deps.clock.now())
    }
  }

  async #recordList(carried: CarriedList): Promise<void> {
    const { size } = (await this.#deps.store.stat(carried.list)) ?? { size: 0 }
    await linkList(this.#deps.catalog, carried.repository, { digest: carried.list, size })
    await recordCarriedList(this.#deps.sidecars, carried)
  }

  /** The list that a conversion was made with, if it came along: an evicted layer is made again with it. */
  async #linkOwnList({ repository, recipe }: BundledConversion, plan: BundlePlan): Promise<void> {
    const digest = listIn(recipe.options)
    if (digest === undefined || !plan.blobs.has(digest)) return
    const stat = await this.#deps.store.stat(digest)
    if (stat !== undefined) await linkList(this.#deps.catalog, repository, stat)
  }

  /** An index under the tag of the referrers tag schema for every subject, merged with what was there. */
  async #recordReferrers(manifests: readonly PlannedManifest[]): Promise<void> {
    for (const one of manifests) {
      const { subject } = one.parsed
      if (subject === undefined) continue
      await this.#recordReferrer(one, subject.digest)
    }
  }

  async #recordReferrer(one: PlannedManifest, subject: Digest): Promise<void> {
    const { repository, raw, parsed } = one
    const tag = referrersTag(subject)
    const known = await this.#deps.catalog.tags.find(repository, tag)
    const before = known && (await this.#deps.manifests.findLocal(repository, known.digest))
    const index = addReferrer(before?.bytes, raw, parsed)
    await this.#tag(repository, index, tag)
  }

  async #recordTags({ repository, raw, tags }: PlannedManifest): Promise<void> {
    for (const tag of new Set(tags)) await this.#tag(repository, raw, tag)
  }

  async #tag(repository: Repository, raw: PlannedManifest['raw'], name: string): Promise<void> {
    const at = this.#deps.clock.now()
    await this.#deps.manifests.record(repository, raw, { name, at })
    await this.#deps.catalog.tags.record(repository, name, { digest: raw.digest, checkedAt: at })
  }
}
