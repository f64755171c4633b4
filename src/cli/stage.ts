/** `crossdock stage`: pull and convert ahead, with progress for people and a summary for programs. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { App } from '../app.ts'
import { findReferences } from '../bundle/references.ts'
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

/** A reference with the platforms that a list says for it. */
interface Wanted {
  readonly text: string
  readonly platforms: readonly string[]
  /** `deploy.yaml:12`, for a list's. */
  readonly from?: string
}

type StagedImage = NamedImage & Omit<Wanted, 'text'>

type Outcome = { readonly image: StagedImage } & (
  | { readonly staged: Staged; readonly seconds: number }
  | { readonly error: unknown }
)

export async function stageCommand(
  refs: readonly string[],
  options: StageOptions,
  system: System,
): Promise<number> {
  const listed = options.file === undefined ? [] : await readRefs(options.file, system)
  const wanted: readonly Wanted[] = [...refs.map((text) => ({ text, platforms: [] })), ...listed]
  if (wanted.length === 0) {
    throw new UsageError(
      options.file === undefined
        ? 'nothing to stage; name images or give a list with -f'
        : `${nameOf(options.file)} names no image; give a list, or YAML with "image" keys`,
    )
  }
  await using app = await openSession(options, system)
  const images = wanted.map((one) => ({ ...one, ...parseImage(one.text, app) }))
  const outcomes = await stageAll(images, options, app, system.output)
  if (options.json) system.output.out(`${JSON.stringify(outcomes.map(describeOutcome), null, 2)}\n`)
  else system.output.out(formatSummary(outcomes))
  return outcomes.some((one) => 'error' in one) ? EXIT.failed : EXIT.ok
}

/** Images of a list, of Kubernetes manifests, of a Compose file or of a rendered chart. */
async function readRefs(file: string, system: System): Promise<readonly Wanted[]> {
  const text =
    file === '-' ? await collectText(system.stdin()) : await readList(resolve(system.cwd, file))
  const name = nameOf(file)
  try {
    return findReferences(name, text).map((one) => ({ ...one, from: `${name}:${one.line}` }))
  } catch (error) {
    throw new UsageError(describeError(error), { cause: error })
  }
}

function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file
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
  images: readonly StagedImage[],
  options: StageOptions,
  app: App,
  output: Output,
): Promise<Outcome[]> {
  using _view = showProgress(app.progress, output)
  const common = platformsOf(options.platform, app)
  const outcomes: Outcome[] = []
  const queue = images.entries()
  const worker = async () => {
    for (const [index, image] of queue) {
      const began = app.clock.monotonic()
      try {
        const own = image.platforms.length > 0 ? image.platforms : options.platform
        const staged = await app.staging.stage({
          ...image,
          platforms: own === options.platform ? common : platformsOf(own, app),
          isPlatformAssumed: own === undefined,
        })
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

/** With the line that asked for it, where people will look. */
function describeFailure({
  image,
  error,
}: {
  readonly image: StagedImage
  readonly error: unknown
}): string {
  return `${image.from === undefined ? '' : `${image.from}: `}${describeError(error)}`
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
