/** `crossdock pin` and `unpin`: names whose images stay in the store, whatever its budget. */
import { formatBytes, EXIT } from './output.ts'
import { formatImage, parseImage } from './references.ts'
import { type CommonOptions, openStored } from './session.ts'
import type { System } from './system.ts'
import type { App } from '../app.ts'
import type { Pin } from '../pins.ts'

export async function pinCommand(
  refs: readonly string[],
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openStored(options, system)
  const images = refs.map((ref) => namedPin(ref, app))
  const results = []
  for (const { name, pin } of images) {
    const digest = await app.pinned.find(pin)
    if (digest !== undefined) await app.pins.add(pin)
    const bytes = digest === undefined ? 0 : await sizeBelow(app, pin)
    results.push({ name, pinned: digest !== undefined, digest: digest ?? null, bytes })
    if (options.json) continue
    if (digest !== undefined) system.output.out(`${name} stays (${formatBytes(bytes)})\n`)
    else {
      const advice = `"crossdock stage ${name}" brings it, then pin it`
      system.output.err(`${name} is not in the store; ${advice}\n`)
    }
  }
  if (options.json) system.output.out(`${JSON.stringify(results, null, 2)}\n`)
  return results.every(({ pinned }) => pinned) ? EXIT.ok : EXIT.failed
}

export async function unpinCommand(
  refs: readonly string[],
  options: CommonOptions,
  system: System,
): Promise<number> {
  await using app = await openStored(options, system)
  const images = refs.map((ref) => namedPin(ref, app))
  const results = []
  for (const { name, pin } of images) {
    const unpinned = await app.pins.remove(pin)
    results.push({ name, unpinned })
    if (options.json) continue
    if (unpinned) system.output.out(`${name} may be evicted again\n`)
    else system.output.err(`${name} is not pinned; "crossdock list" marks what is\n`)
  }
  if (options.json) system.output.out(`${JSON.stringify(results, null, 2)}\n`)
  return results.every(({ unpinned }) => unpinned) ? EXIT.ok : EXIT.failed
}

function namedPin(ref: string, app: App): { readonly name: string; readonly pin: Pin } {
  const image = parseImage(ref, app)
  const { repository, reference } = image
  const text = 'tag' in reference ? reference.tag : reference.digest
  return { name: formatImage(image), pin: { ...repository, reference: text } }
}

/** Bytes in the store that the pin keeps. */
async function sizeBelow({ pinned, store }: App, pin: Pin): Promise<number> {
  let bytes = 0
  for (const digest of await pinned.below([pin])) bytes += (await store.stat(digest))?.size ?? 0
  return bytes
}
