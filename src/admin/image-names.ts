/** Which images blobs belong to, for people: a digest alone tells nobody what goes. */
import { Inventory, type InventoryDeps } from '../convert/inventory.ts'
import type { Digest } from '../oci/digest.ts'
import { fullName } from '../oci/repository.ts'

/** Names of one blob; a base layer may have thousands. */
const MOST_NAMES = 100

/**
 * Digest -> names with tag, and suffix where it is a conversion's; of what no name in the store leads to any more, the
 * repositories that had it.
 */
export async function imageNames(
  deps: InventoryDeps,
  digests: Iterable<Digest>,
): Promise<ReadonlyMap<Digest, readonly string[]>> {
  const wanted = new Map<Digest, string[]>([...digests].map((digest) => [digest, []]))
  if (wanted.size === 0) return wanted
  for await (const { repository, tag, profile, digest, blobs } of new Inventory(deps).list(
    () => true,
  )) {
    const name = `${fullName(repository)}:${tag}${profile === undefined ? '' : `-${profile}`}`
    for (const one of [digest, ...blobs.keys()]) {
      const names = wanted.get(one)
      if (names !== undefined && names.length < MOST_NAMES) names.push(name)
    }
  }
  for (const [digest, names] of wanted) {
    if (names.length > 0) continue
    const holders = await deps.catalog.links.holders(digest)
    names.push(...new Set(holders.slice(0, MOST_NAMES).map(fullName)))
  }
  return wanted
}
