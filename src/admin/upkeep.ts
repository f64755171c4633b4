/** Garbage collection and verification, told as plain data. The same for the commands and the API. */
import type { Config } from '../config/schema.ts'
import { Inventory } from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
import type { Digest } from '../oci/digest.ts'
import type { Collected, Collector, Findings } from '../upkeep/collector.ts'
import type { Victim } from '../upkeep/eviction.ts'
import { type FoldedSizes, sumFolded } from '../upkeep/folded.ts'
import type { Check, Verifier } from '../upkeep/verification.ts'
import type { NamesDeps } from './act-on-names.ts'
import type { CollectAsk, VerifyAsk } from './asks.ts'
import { imageNames } from './image-names.ts'
import { formatImage } from './named-image.ts'

export interface UpkeepDeps extends NamesDeps {
  readonly cache: Pick<Config['cache'], 'maxSize' | 'lease'>
  readonly collector: Collector
  readonly verifier: Verifier
}

export interface CollectResult {
  readonly dryRun: boolean
  /** Bytes before anything went. */
  readonly total: number
  readonly blobs: number
  /** `maxSize`, or what the disk leaves room for. */
  readonly budget: number
  readonly maxSize: number
  readonly leaseMs: number
  readonly kept: Findings['plan']['kept']
  readonly overBy: number
  /** What is not kept as it came, but can be made again (`cache.dedup`). */
  readonly folded: FoldedSizes
  readonly victims: readonly {
    readonly digest: Digest
    readonly size: number
    /** Names of images that it belongs to, or the repositories that had it; the first hundred. */
    readonly images: readonly string[]
    /** ISO 8601 */
    readonly lastUsed: string
    readonly reason: Victim['reason']
    readonly comesBackFrom: string | null
  }[]
  readonly irreplaceable: readonly { readonly digest: Digest; readonly reason: string }[]
}

export interface VerifyResult {
  readonly sound: number
  readonly healed: number
  readonly published: number
  readonly failed: number
  /** Bytes that were read. */
  readonly bytes: number
  readonly seconds: number
  /** All that were not sound; the first of them. */
  readonly troubles: readonly Check[]
}

/** Whoever looks on while it goes. */
export interface VerifyWatch {
  /** `total`: bytes to read, where that is known. */
  readonly read?: (bytes: number, total: number | undefined) => void
  readonly checked?: (check: Check) => void
}

/** Told one by one; beyond it is a store of which nothing is left. */
const MOST_TROUBLES = 10_000

export async function collect(deps: UpkeepDeps, { dryRun }: CollectAsk): Promise<CollectResult> {
  const found: Findings | Collected = dryRun
    ? await deps.collector.plan()
    : await deps.collector.collect()
  const victims = victimsOf(found)
  const names = await imageNames(
    deps,
    victims.map(({ digest }) => digest),
  )
  return describe(found, names, await sumFolded(deps), deps.cache)
}

export async function verify(
  deps: UpkeepDeps,
  { image }: VerifyAsk,
  watch: VerifyWatch = {},
): Promise<VerifyResult> {
  const began = deps.clock.monotonic()
  const checksOf = await checksFor(deps, image)
  const total = image === undefined ? await sizeOfAll(deps) : undefined
  const counts = { sound: 0, healed: 0, published: 0, failed: 0 }
  const troubles: Check[] = []
  let bytes = 0
  const pace = (more: number) => {
    bytes += more
    watch.read?.(bytes, total)
  }
  for await (const check of checksOf({ pace, decode: true })) {
    counts[check.state] += 1
    if (check.state === 'sound') continue
    if (troubles.length < MOST_TROUBLES) troubles.push(check)
    watch.checked?.(check)
  }
  const seconds = (deps.clock.monotonic() - began) / 1000
  return { ...counts, bytes, seconds, troubles }
}

type Checks = (options: Parameters<Verifier['all']>[0]) => AsyncIterable<Check>

async function checksFor(deps: UpkeepDeps, ref: string | undefined): Promise<Checks> {
  const { verifier, manifests, parseImage } = deps
  if (ref === undefined) return (options) => verifier.all(options)
  const image = parseImage(ref)
  const { repository, reference } = image
  const named =
    'digest' in reference
      ? { source: reference.digest, target: undefined }
      : await new Inventory(deps).resolve(repository, reference.tag)
  const digest = named?.target ?? named?.source
  if (digest === undefined || (await manifests.findLink(repository, digest)) === undefined) {
    throw new CrossdockError(
      'manifestUnknown',
      `${formatImage(image)} is not in the store; "crossdock list" says what is`,
    )
  }
  return (options) => verifier.image(repository, digest, options)
}

async function sizeOfAll({ store }: UpkeepDeps): Promise<number> {
  let total = 0
  for await (const { size } of store.list()) total += size
  return total
}

function victimsOf(found: Findings | Collected): readonly Victim[] {
  return 'gone' in found ? found.gone : found.plan.victims
}

function describe(
  found: Findings | Collected,
  names: ReadonlyMap<Digest, readonly string[]>,
  folded: FoldedSizes,
  cache: UpkeepDeps['cache'],
): CollectResult {
  const { plan, budget, blobs, returns } = found
  const isDone = 'gone' in found
  const victims = victimsOf(found).map((victim) => {
    const { digest, size, touchedAt, reason } = victim
    const back = returns.get(digest)
    const comesBackFrom = back !== undefined && 'from' in back ? back.from : null
    const lastUsed = new Date(touchedAt).toISOString()
    return { digest, size, images: names.get(digest) ?? [], lastUsed, reason, comesBackFrom }
  })
  const irreplaceable = [...returns].flatMap(([digest, back]) =>
    'lost' in back ? [{ digest, reason: back.lost }] : [],
  )
  const { total, kept, overBy } = plan
  const { maxSize, lease: leaseMs } = cache
  return {
    ...{ dryRun: !isDone, total, blobs, budget, maxSize, leaseMs },
    ...{ kept, overBy, folded, victims, irreplaceable },
  }
}
