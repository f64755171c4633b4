/** `crossdock stage`: pull and convert ahead, with progress for people and a summary for programs. */
import type { StageOutcome } from '../admin/stage.ts'
import type { Staged } from '../convert/staging.ts'
import { platformsFor } from '../admin/stage.ts'
import type { Acting, ActingOptions } from './acting.ts'
import { type Failure, sayFailures } from './failures.ts'
import { asUsage, readWanted } from './image-lists.ts'
import { unlessInterrupted } from './interruption.ts'
import { openActing } from './open-acting.ts'
import { complain, EXIT, formatBytes, formatTable, formatTime, type Output } from './output.ts'
import { showProgress } from './progress-view.ts'
import { openSession } from './session.ts'
import type { System } from './system.ts'

export interface StageOptions extends ActingOptions {
  readonly file?: string
  readonly platform?: readonly string[]
  readonly jobs: number
  readonly failFast?: boolean
  /** Asks upstream first whether tags have moved, however short ago it was asked. */
  readonly recheck?: boolean
  /** Makes what was converted before once more, to see that it comes out the same. */
  readonly again?: boolean
}

export async function stageCommand(
  refs: readonly string[],
  options: StageOptions,
  system: System,
): Promise<number> {
  const { output } = system
  const wanted = await readWanted(refs, options, system, 'stage')
  const { platform: platforms, jobs, failFast = false } = options
  checkPlatforms(platforms)
  await using acting = await openActing(options, system, openSession)
  const names = wanted.map(({ text }) => text)
  if (options.recheck) await recheck(names, acting, options, output)
  if (options.again) return await convertAgain(names, acting, options, system)
  const images = wanted.map(({ text, platforms: own }) => ({
    image: text,
    ...(own.length > 0 && { platforms: own }),
  }))
  const ask = { images, jobs, failFast, ...(platforms !== undefined && { platforms }) }
  const outcomes = await watched(acting, system, () => acting.act('stage', ask))
  const from = new Map(wanted.map((one) => [one.text, one.from]))
  const told = outcomes.map((one) => withLine(one, from.get(one.reference)))
  if (options.json) output.out(`${JSON.stringify(told, null, 2)}\n`)
  else output.out(formatSummary(told))
  for (const one of told) {
    for (const warning of 'error' in one ? [] : one.warnings) {
      complain(output, `warning: ${warning}`)
    }
  }
  return sayFailures(failuresIn(told), { asked: images.length, tried: told.length }, output)
}

async function watched<T>(acting: Acting, system: System, work: () => Promise<T>): Promise<T> {
  using _view = showProgress(acting.progress, system.output)
  return await unlessInterrupted(work(), system, acting.onInterruption)
}

/** Throws UsageError before anything is opened. */
function checkPlatforms(platforms: readonly string[] | undefined): void {
  asUsage(() => platformsFor(platforms, []))
}

/** With the line that asked for what failed. */
function withLine(one: StageOutcome, from: string | undefined): StageOutcome {
  return 'error' in one && from !== undefined ? { ...one, error: `${from}: ${one.error}` } : one
}

function failuresIn(outcomes: readonly StageOutcome[]): readonly Failure[] {
  return outcomes.flatMap((one) => ('error' in one ? [{ name: one.name, text: one.error }] : []))
}

function formatSummary(outcomes: readonly StageOutcome[]): string {
  const rows = outcomes.map((one) => {
    if ('error' in one) return [one.name, '-', '-', '-', `failed: ${one.error}`]
    const { name, size, sourceSize, conversion, remembered } = one
    return [
      name,
      formatBytes(sourceSize),
      formatBytes(size),
      formatShare(size, sourceSize),
      `${conversion}${formatRemembered(remembered)}`,
    ]
  })
  return formatTable(['IMAGE', 'SOURCE', 'STAGED', 'SHARE', 'RESULT'], rows)
}

/** What a tag names is what upstream said then. */
function formatRemembered(remembered: Staged['remembered']): string {
  if (remembered === undefined) return ''
  const { checkedAt, stale } = remembered
  const at = formatTime(checkedAt)
  return stale
    ? `; from the store as of ${at}: upstream does not answer`
    : `; from the store as of ${at}: upstream was not asked again (--recheck does)`
}

function formatShare(size: number, sourceSize: number): string {
  return sourceSize === 0 ? '-' : `${Math.round((size / sourceSize) * 100)} %`
}

async function recheck(
  images: readonly string[],
  acting: Acting,
  { json = false }: StageOptions,
  output: Output,
): Promise<void> {
  for (const { name, before, digest, moved } of await acting.act('recheck', { images })) {
    if (json || (!moved && digest !== null)) continue
    output.err(`${name} ${digest === null ? 'is gone upstream' : `moved from ${before}`}\n`)
  }
}

async function convertAgain(
  images: readonly string[],
  acting: Acting,
  { json = false }: StageOptions,
  system: System,
): Promise<number> {
  const { output } = system
  const results = await watched(acting, system, () => acting.act('convert', { images }))
  if (json) output.out(`${JSON.stringify(results, null, 2)}\n`)
  else {
    const head = ['IMAGE', 'PROFILE', 'LAYERS AS BEFORE', 'OTHERS', 'RESULT', 'DIGEST']
    const rows = results.map(({ name, profile, confirmed, differing, conversion, digest }) => [
      ...[name, profile, String(confirmed), String(differing.length), conversion, digest],
    ])
    output.out(formatTable(head, rows))
  }
  for (const { digest, reason } of results.flatMap(({ differing }) => differing)) {
    complain(output, `warning: layer ${digest}: ${reason}`)
  }
  return EXIT.ok
}
