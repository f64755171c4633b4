/** `crossdock remove`: names are forgotten; a later garbage collection takes what only they held. */
import { Inventory } from '../convert/inventory.ts'
import { Releases } from '../upkeep/releases.ts'
import { EXIT, UsageError } from './output.ts'
import { formatImage, parseImage } from './references.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export async function removeCommand(
  refs: readonly string[],
  options: CommonOptions,
  system: System,
): Promise<number> {
  const { output } = system
  await using app = await openSession(options, system)
  const inventory = new Inventory(app)
  const images = refs.map((ref) => parseImage(ref, app))
  const releases = new Releases(app)
  const results: { name: string; removed: boolean }[] = []
  for (const image of images) {
    const { repository, reference } = image
    if ('digest' in reference) {
      throw new UsageError(
        `${image.text}: only names are forgotten; say a tag instead of the digest`,
      )
    }
    const name = formatImage(image)
    const removed = await releases.after(() => inventory.remove(repository, reference.tag))
    results.push({ name, removed })
    if (options.json) continue
    if (removed) output.out(`${name} is forgotten\n`)
    else output.err(`${name} is not in the store; "crossdock list" says what is\n`)
  }
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  return results.every((one) => one.removed) ? EXIT.ok : EXIT.failed
}
