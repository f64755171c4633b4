/** `crossdock pin` and `unpin`: names whose images stay in the store, whatever its budget. */
import type { ActingOptions } from './acting.ts'
import { openActing } from './open-acting.ts'
import { EXIT, formatBytes } from './output.ts'
import { openStored } from './session.ts'
import type { System } from './system.ts'

export async function pinCommand(
  images: readonly string[],
  options: ActingOptions,
  system: System,
): Promise<number> {
  const { output } = system
  await using acting = await openActing(options, system, openStored)
  const results = await acting.act('pin', { images })
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  for (const { name, pinned, bytes } of options.json ? [] : results) {
    if (pinned) output.out(`${name} stays (${formatBytes(bytes)})\n`)
    else {
      const advice = `"crossdock stage ${name}" brings it, then pin it`
      output.err(`${name} is not in the store; ${advice}\n`)
    }
  }
  return results.every(({ pinned }) => pinned) ? EXIT.ok : EXIT.failed
}

export async function unpinCommand(
  images: readonly string[],
  options: ActingOptions,
  system: System,
): Promise<number> {
  const { output } = system
  await using acting = await openActing(options, system, openStored)
  const results = await acting.act('unpin', { images })
  if (options.json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  for (const { name, unpinned } of options.json ? [] : results) {
    if (unpinned) output.out(`${name} may be evicted again\n`)
    else output.err(`${name} is not pinned; "crossdock list" marks what is\n`)
  }
  return results.every(({ unpinned }) => unpinned) ? EXIT.ok : EXIT.failed
}
