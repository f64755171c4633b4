/** `crossdock stage`: pull and convert ahead, with progress for people and a summary for programs. */
import { readFile } from 'node:fs/promises'
import type { App } from '../app.ts'
import type { Staged, StageTask } from '../convert/staging.ts'
import { parsePlatform } from '../oci/platform.ts'
import { describeError, EXIT, formatBytes, formatTable, type Output, UsageError } from './output.ts'
import { showProgress } from './progress-view.ts'
import { formatImage, type NamedImage, parseImage } from './references.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export interface StageOptions extends CommonOptions {
  readonly file?: string
  readonly platform?: readonly string[]
  readonly jobs: number
}

type Outcome = { readonly image: NamedImage } & (
  | { readonly staged: Staged; readonly seconds: number }
  | { readonly error: unknown }
)

export async function stageCommand(
  refs: readonly string[],
  options: StageOptions,
  system: System,
): Promise<number> {
  const texts = [
    ...refs,
    ...(options.file === undefined ? [] : await readRefs(options.file, system)),
  ]
  if (texts.length === 0)
    throw new UsageError('nothing to stage; name images or give a list with -f')
  await using app = await openSession(options, system)
  const images = texts.map((text) => parseImage(text, app))
  const outcomes = await stageAll(images, options, app, system.output)
  if (options.json) system.output.out(`${JSON.stringify(outcomes.map(describeOutcome), null, 2)}\n`)
  else system.output.out(formatSummary(outcomes))
  return outcomes.some((one) => 'error' in one) ? EXIT.failed : EXIT.ok
}

async function readRefs(file: string, system: System): Promise<string[]> {
  const text = file === '-' ? await collectText(system.stdin()) : await readList(file)
  return text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter(Boolean)
}

async function readList(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`cannot read the list ${file}: ${describeError(error)}`, { cause: error })
  }
}

async function collectText(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

async function stageAll(
  images: readonly NamedImage[],
  options: StageOptions,
  app: App,
  output: Output,
): Promise<Outcome[]> {
  using _view = showProgress(app.progress, output)
  const platforms = platformsOf(options.platform, app)
  const outcomes: Outcome[] = []
  const queue = images.entries()
  const worker = async () => {
    for (const [index, image] of queue) {
      const began = app.clock.monotonic()
      try {
        const staged = await app.staging.stage({ ...image, platforms })
        outcomes[index] = { image, staged, seconds: (app.clock.monotonic() - began) / 1000 }
      } catch (error) {
        outcomes[index] = { image, error }
      }
    }
  }
  await Promise.all(Array.from({ length: options.jobs }, worker))
  return outcomes
}

function platformsOf(given: readonly string[] | undefined, app: App): StageTask['platforms'] {
  if (given?.includes('all')) return 'all'
  try {
    return (given ?? app.config.convert.defaultPlatforms).map(parsePlatform)
  } catch (error) {
    throw new UsageError(`--platform: ${describeError(error)}`, { cause: error })
  }
}

function formatSummary(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((one) => {
    const name = formatImage(one.image)
    if ('error' in one) return [name, '-', '-', '-', `failed: ${describeError(one.error)}`]
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
  if ('error' in one) return { reference: one.image.text, name, error: describeError(one.error) }
  const { conversion = 'original', ...staged } = one.staged
  return { reference: one.image.text, name, ...staged, conversion, seconds: one.seconds }
}
