/** `crossdock remove`: names are forgotten; a later garbage collection takes what only they held. */
import type { ActingOptions } from './acting.ts'
import { openActing } from './open-acting.ts'
import { EXIT } from './output.ts'
import { openStored } from './session.ts'
import type { System } from './system.ts'

export async function removeCommand(
  images: readonly string[],
  options: ActingOptions,
  system: System,
): Promise<number> {
  const { output } = system
  await using acting = await openActing(options, system, openStored)
  const results = await acting.act('remove', { images })
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  for (const { name, removed, conversions, unpinned } of options.json ? [] : results) {
    const more = conversions.length === 0 ? '' : `, its conversions too: ${conversions.join(', ')}`
    if (removed) output.out(`${name} is forgotten${more}\n`)
    else if (unpinned.length === 0) {
      output.err(`${name} is not in the store; "crossdock list" says what is\n`)
    }
    for (const pinned of unpinned) output.out(`${pinned} is pinned no more\n`)
  }
  const isDone = (one: (typeof results)[number]) => one.removed || one.unpinned.length > 0
  return results.every(isDone) ? EXIT.ok : EXIT.failed
}
