/** `crossdock verify`: hashes what is stored, compares it with what is said about it, and heals what is wrong. */
import type { App } from '../app.ts'
import { Inventory } from '../convert/inventory.ts'
import { CrossdockError } from '../errors.ts'
import type { Check } from '../upkeep/verification.ts'
import { EXIT, formatBytes, formatSeconds, type Output, UsageError } from './output.ts'
import { formatImage, parseImage } from './references.ts'
import { type CommonOptions, openStored } from './session.ts'
import type { System } from './system.ts'

export interface VerifyOptions extends CommonOptions {
  readonly all?: boolean
}

const REDRAW_MS = 150

const WORDS: Readonly<Record<Check['state'], string>> = {
  sound: 'sound',
  healed: 'healed',
  published: 'as published',
  failed: 'failed',
}

export async function verifyCommand(
  ref: string | undefined,
  options: VerifyOptions,
  system: System,
): Promise<number> {
  if (ref !== undefined && options.all) {
    throw new UsageError('verify takes an image or --all, not both')
  }
  await using app = await openStored(options, system)
  const began = app.clock.monotonic()
  const meter = new Meter(system.output, await totalOf(ref, app), () => app.clock.monotonic())
  const troubles: Check[] = []
  const counts = { sound: 0, healed: 0, published: 0, failed: 0 }
  for await (const check of await checksOf(ref, app, (bytes) => meter.add(bytes))) {
    counts[check.state] += 1
    if (check.state === 'sound') continue
    troubles.push(check)
    meter.clear()
    if (!options.json) system.output.out(`${WORDS[check.state]}  ${describe(check)}\n`)
  }
  meter.clear()
  const seconds = (app.clock.monotonic() - began) / 1000
  const { bytes } = meter
  if (options.json) {
    system.output.out(`${JSON.stringify({ ...counts, bytes, seconds, troubles }, null, 2)}\n`)
  } else {
    const { sound, healed, published, failed } = counts
    const odd = published === 0 ? '' : `, ${published} as published`
    const summary = `${sound} sound, ${healed} healed${odd}, ${failed} failed`
    system.output.out(`${summary}; ${formatBytes(bytes)} in ${formatSeconds(seconds)}\n`)
  }
  return counts.failed === 0 ? EXIT.ok : EXIT.failed
}

async function checksOf(
  ref: string | undefined,
  app: App,
  pace: (bytes: number) => void,
): Promise<AsyncIterable<Check>> {
  const options = { pace, decode: true }
  if (ref === undefined) return app.verifier.all(options)
  const image = parseImage(ref, app)
  const { repository, reference } = image
  const named =
    'digest' in reference
      ? { source: reference.digest }
      : await new Inventory(app).resolve(repository, reference.tag)
  const digest = named?.target ?? named?.source
  if (digest === undefined || (await app.manifests.findLink(repository, digest)) === undefined) {
    throw new CrossdockError(
      'manifestUnknown',
      `${formatImage(image)} is not in the store; "crossdock list" says what is`,
    )
  }
  return app.verifier.image(repository, digest, options)
}

/** Bytes to read, where that is known. */
async function totalOf(ref: string | undefined, app: App): Promise<number | undefined> {
  if (ref !== undefined) return undefined
  let total = 0
  for await (const { size } of app.store.list()) total += size
  return total
}

function describe({ what, digest, detail }: Check): string {
  return `${what} ${digest}: ${detail ?? ''}`
}

/** One line on a terminal that redraws itself. */
class Meter {
  bytes = 0
  readonly #output: Output
  readonly #total: number | undefined
  readonly #now: () => number
  readonly #began: number
  #drawnAt = 0
  /** Lines of it on the terminal. */
  #drawn = 0

  constructor(output: Output, total: number | undefined, now: () => number) {
    this.#output = output
    this.#total = total
    this.#now = now
    this.#began = now()
  }

  add(bytes: number): void {
    this.bytes += bytes
    const now = this.#now()
    if (!this.#output.isTerminal || now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    const rate = (this.bytes / Math.max(1, now - this.#began)) * 1000
    const left = this.#total === undefined ? undefined : Math.max(0, this.#total - this.bytes)
    const of = this.#total === undefined ? '' : ` of ${formatBytes(this.#total)}`
    const time = left === undefined ? '' : `, ${formatSeconds(left / rate)} left`
    const line = `verified ${formatBytes(this.bytes)}${of}, ${formatBytes(rate)}/s${time}`
    this.#output.redraw(this.#drawn, [line])
    this.#drawn = 1
  }

  clear(): void {
    if (this.#drawn > 0) this.#output.redraw(this.#drawn, [])
    this.#drawn = 0
  }
}
