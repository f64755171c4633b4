/** `crossdock verify`: hashes what is stored, compares it with what is said about it, and heals what is wrong. */
import type { Check } from '../upkeep/verification.ts'
import type { ActingOptions } from './acting.ts'
import { openActing } from './open-acting.ts'
import { EXIT, formatBytes, formatSeconds, type Output, UsageError } from './output.ts'
import { openStored } from './session.ts'
import type { System } from './system.ts'

export interface VerifyOptions extends ActingOptions {
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
  const { output } = system
  await using acting = await openActing(options, system, openStored)
  const meter = new Meter(output, () => performance.now())
  const told = new Set<Check>()
  const tell = (check: Check) => {
    told.add(check)
    meter.clear()
    if (!options.json) output.out(`${WORDS[check.state]}  ${describe(check)}\n`)
  }
  const ask = ref === undefined ? {} : { image: ref }
  const result = await acting.act('verify', ask, {
    read: (bytes, total) => meter.show(bytes, total),
    checked: tell,
  })
  meter.clear()
  const { sound, healed, published, failed, bytes, seconds, troubles } = result
  // A server tells of them at the end.
  for (const check of troubles) if (!told.has(check)) tell(check)
  if (options.json) output.out(`${JSON.stringify(result, null, 2)}\n`)
  else {
    const odd = published === 0 ? '' : `, ${published} as published`
    const summary = `${sound} sound, ${healed} healed${odd}, ${failed} failed`
    output.out(`${summary}; ${formatBytes(bytes)} in ${formatSeconds(seconds)}\n`)
  }
  return failed === 0 ? EXIT.ok : EXIT.failed
}

function describe({ what, digest, detail }: Check): string {
  return `${what} ${digest}: ${detail ?? ''}`
}

/** One line on a terminal that redraws itself. */
class Meter {
  readonly #output: Output
  readonly #now: () => number
  readonly #began: number
  #drawnAt = 0
  /** Lines of it on the terminal. */
  #drawn = 0

  constructor(output: Output, now: () => number) {
    this.#output = output
    this.#now = now
    this.#began = now()
  }

  show(bytes: number, total: number | undefined): void {
    const now = this.#now()
    if (!this.#output.isTerminal || now - this.#drawnAt < REDRAW_MS) return
    this.#drawnAt = now
    const rate = (bytes / Math.max(1, now - this.#began)) * 1000
    const of = total === undefined ? '' : ` of ${formatBytes(total)}`
    const left =
      total === undefined ? '' : `, ${formatSeconds(Math.max(0, total - bytes) / rate)} left`
    const line = `verified ${formatBytes(bytes)}${of}, ${formatBytes(rate)}/s${left}`
    this.#output.redraw(this.#drawn, [line])
    this.#drawn = 1
  }

  clear(): void {
    if (this.#drawn > 0) this.#output.redraw(this.#drawn, [])
    this.#drawn = 0
  }
}
