/** `crossdock remove`: names are forgotten; a later garbage collection takes what only they held. */
import { Inventory } from '../convert/inventory.ts'
import { Releases } from '../upkeep/releases.ts'
import { EXIT, UsageError } from './output.ts'
import { formatImage, parseImage } from './references.ts'
import { type CommonOptions, openStored } from './session.ts'
import type { System } from './system.ts'

export async function removeCommand(
  refs: readonly string[],
  options: CommonOptions,
  system: System,
): Promise<number> {
  const { output } = system
  await using app = await openStored(options, system)
  const inventory = new Inventory(app)
  const images = refs.map((ref) => parseImage(ref, app))
  const releases = new Releases(app)
  const results: { name: string; removed: boolean; conversions: string[] }[] = []
  for (const image of images) {
    const { repository, reference } = image
    if ('digest' in reference) {
      throw new UsageError(
        `${image.text}: only names are forgotten; say a tag instead of the digest`,
      )
    }
    const name = formatImage(image)
    const conversions = await conversionsOf(name, inventory)
    const removed = await releases.after(() => inventory.remove(repository, reference.tag))
    results.push({ name, removed, conversions })
    if (options.json) continue
    const more = conversions.length === 0 ? '' : `, its conversions too: ${conversions.join(', ')}`
    if (removed) output.out(`${name} is forgotten${more}\n`)
    else output.err(`${name} is not in the store; "crossdock list" says what is\n`)
  }
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  return results.every((one) => one.removed) ? EXIT.ok : EXIT.failed
}

/** Profiles of what goes with a name; of a name with a suffix nothing but itself goes. */
async function conversionsOf(name: string, inventory: Inventory): Promise<string[]> {
  const profiles = new Set<string>()
  for await (const { profile } of inventory.list((one) => one === name)) {
    if (profile !== undefined) profiles.add(profile)
  }
  return [...profiles]
}
