/** `crossdock stage`: pull and convert ahead, with progress for people and a summary for programs. */
import type { App } from '../app.ts'
import type { Staged } from '../convert/staging.ts'
import { describeFailure, sayFailures } from './failures.ts'
import { parseWanted, readWanted, type WantedImage } from './image-lists.ts'
import { complain, formatBytes, formatTable, type Output } from './output.ts'
import { showProgress } from './progress-view.ts'
import { formatImage } from './references.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export interface StageOptions extends CommonOptions {
  readonly file?: string
  readonly platform?: readonly string[]
  readonly jobs: number
  readonly failFast?: boolean
}

type Outcome = { readonly image: WantedImage } & (
  | { readonly staged: Staged; readonly seconds: number }
  | { readonly error: unknown }
)

export async function stageCommand(
  refs: readonly string[],
  options: StageOptions,
  system: System,
): Promise<number> {
  const { output } = system
  const wanted = await readWanted(refs, options, system, 'stage')
  await using app = await openSession(options, system)
  const images = parseWanted(wanted, options, app)
  const outcomes = await stageAll(images, options, app, output)
  if (options.json) output.out(`${JSON.stringify(outcomes.map(describeOutcome), null, 2)}\n`)
  else output.out(formatSummary(outcomes))
  for (const one of outcomes) {
    const warnings = 'staged' in one ? one.staged.warnings : []
    for (const warning of warnings) complain(output, `warning: ${warning}`)
  }
  return sayFailures(outcomes, images.length, output)
}

async function stageAll(
  images: readonly WantedImage[],
  options: StageOptions,
  app: App,
  output: Output,
): Promise<Outcome[]> {
  using _view = showProgress(app.progress, output)
  const outcomes: Outcome[] = []
  const queue = images.entries()
  let isOver = false
  const worker = async () => {
    for (const [index, image] of queue) {
      if (isOver) return
      const began = app.clock.monotonic()
      try {
        const staged = await app.staging.stage(image)
        outcomes[index] = { image, staged, seconds: (app.clock.monotonic() - began) / 1000 }
      } catch (error) {
        outcomes[index] = { image, error }
        isOver ||= options.failFast ?? false
      }
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, worker))
  // Those that --fail-fast never came to have none.
  return outcomes.filter((one) => one !== undefined)
}

function formatSummary(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((one) => {
    const name = formatImage(one.image)
    if ('error' in one) return [name, '-', '-', '-', `failed: ${describeFailure(one)}`]
    const { size, sourceSize, conversion } = one.staged
    return [
      name,
      formatBytes(sourceSize),
      formatBytes(size),
      formatShare(size, sourceSize),
      conversion ?? 'original',
    ]
  })
  return formatTable(['IMAGE', 'SOURCE', 'STAGED', 'SHARE', 'RESULT'], rows)
}

function formatShare(size: number, sourceSize: number): string {
  return sourceSize === 0 ? '-' : `${Math.round((size / sourceSize) * 100)} %`
}

function describeOutcome(one: Outcome) {
  const name = formatImage(one.image)
  if ('error' in one) return { reference: one.image.text, name, error: describeFailure(one) }
  const { conversion = 'original', ...staged } = one.staged
  return { reference: one.image.text, name, ...staged, conversion, seconds: one.seconds }
}
