/** `crossdock export`: images into one bundle that can be carried and loaded anywhere. */
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { App } from '../app.ts'
import type { BundleDescription, BundledImage } from '../bundle/description.ts'
import { type ExportDeps, type Exported, Exports } from '../bundle/exports.ts'
import type { ExportTask, PriorBundle } from '../bundle/export-task.ts'
import { readPrior } from '../bundle/prior-bundle.ts'
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'
import { isSameBundle, type OutputOptions, targetOf } from './export-target.ts'
import { describeFailure, failuresIn, type Outcome, sayFailures } from './failures.ts'
import { parseWanted, readWanted, type WantedImage } from './image-lists.ts'
import { interruptionOf } from './interruption.ts'
import { complain, formatBytes, formatTable, UsageError } from './output.ts'
import { showProgress } from './progress-view.ts'
import { type CommonOptions, openToCarry } from './session.ts'
import type { System } from './system.ts'

export interface ExportOptions extends CommonOptions, OutputOptions {
  readonly platform?: readonly string[]
  readonly format?: string
  readonly withSources?: boolean
  readonly restoreDigests?: boolean
  readonly since?: readonly string[]
  readonly file?: string
  readonly failFast?: boolean
}

export async function exportCommand(
  refs: readonly string[],
  options: ExportOptions,
  system: System,
): Promise<number> {
  const { output } = system
  const format = formatOf(options.format)
  const target = await targetOf(options, resolve(system.cwd, options.output), format)
  const wanted = await readWanted(refs, options, system, 'export')
  await using app = await openToCarry(options, system)
  const images = parseWanted(wanted, options, app)
  const since: PriorBundle[] = []
  for (const one of options.since ?? []) {
    since.push(await openPrior(resolve(system.cwd, one), target.path))
  }
  const { withSources = false, failFast = false } = options
  const restoreDigests = isToRestore(options)
  const task = { images, withSources, restoreDigests, format, since, target, failFast } as const
  const exported = await run(task, app, system)
  for (const warning of exported.warnings) complain(output, `warning: ${warning}`)
  const outcomes = outcomesOf(images, exported)
  output.out(options.json ? formatJson(exported, outcomes) : formatSummary(exported))
  const advice = options.format === undefined && adviseOn(task, exported.manifesto.description)
  if (advice) complain(output, advice)
  const { length } = images
  return sayFailures(failuresIn(outcomes), { asked: length, tried: length }, output)
}

/** Below this it is not worth a line, bytes. */
const LEAST_ADVISED = 1024 * 1024

/** Who packs what is packed already may not know that there is a better way; `undefined`: this is it. */
function adviseOn(
  { restoreDigests, target }: Pick<ExportTask, 'restoreDigests' | 'target'>,
  { images }: BundleDescription,
): string | undefined {
  const outer = target.kind === 'folder' ? 'none' : target.outer.compression
  const originals = images.filter(({ profile }) => profile === undefined)
  const bytes = originals.reduce((sum, { size }) => sum + size, 0)
  if (restoreDigests || outer === 'none' || bytes < LEAST_ADVISED) return undefined
  return `layers that are gzip hardly get smaller under ${outer}; with --restore-digests crossdock on the far side makes them again, from a bundle that is smaller by a fifth to a third (--format oci says that other programs are to load it)`
}

const KEPT =
  'nothing was written; what was pulled and converted for it stays in the store, so that the next try begins there'

/** Until it is done, or somebody interrupts it: then nothing of the output is left. */
async function run(task: ExportTask, app: App, system: System): Promise<Exported> {
  using _view = showProgress(app.progress, system.output)
  return await createExports(app).export(task, interruptionOf(system, KEPT))
}

function outcomesOf(images: readonly WantedImage[], { failures }: Exported): readonly Outcome[] {
  const errors = new Map(failures.map(({ index, error }) => [index, error]))
  return images.map((image, i) => (errors.has(i) ? { image, error: errors.get(i) } : { image }))
}

/** What other programs load needs its layers whole. Throws UsageError. */
function isToRestore({ restoreDigests = false, format }: ExportOptions): boolean {
  if (!restoreDigests || format === undefined) return restoreDigests
  throw new UsageError(
    `--format ${format} is for other programs, which need whole layers; leave it out, or --restore-digests`,
  )
}

function formatOf(asked = 'oci'): ExportTask['format'] {
  if (asked === 'oci' || asked === 'docker') return asked
  throw new UsageError(`--format ${asked} does not exist; use oci or docker`)
}

export function createExports(app: App): Exports {
  return new Exports(exportDeps(app))
}

export function exportDeps(app: App): ExportDeps {
  const { config } = app
  const [platform = 'linux/amd64'] = config.convert.defaultPlatforms
  return {
    ...app,
    concurrency: availableParallelism(),
    offline: config.cache.offline,
    dockerPlatform: parsePlatform(platform),
  }
}

/** Throws UsageError for the output itself: a delta in the place of its base would be all that is left of either. */
async function openPrior(path: string, output: string): Promise<PriorBundle> {
  if (isSameBundle(path, output)) {
    throw new UsageError(`--since ${path} is the output; give the delta a name of its own`)
  }
  try {
    return await readPrior(path)
  } catch (error) {
    if (!(error instanceof CrossdockError)) throw error
    throw new UsageError(`--since ${path}: ${error.message}`, { cause: error })
  }
}

export function formatSummary({ files, manifesto }: Exported): string {
  const { images, omitted, requires } = manifesto.description
  const rows = images.map((image) => [
    image.name,
    image.profile ?? 'original',
    describePlatforms(image),
    formatBytes(image.size),
    image.digest,
  ])
  const table = formatTable(['IMAGE', 'PROFILE', 'PLATFORMS', 'SIZE', 'DIGEST'], rows)
  const delta =
    omitted.length === 0
      ? ''
      : `${omitted.length} blobs left out, which are in ${requires.map(({ name }) => name).join(', ')}\n`
  const written = files.map(({ path, size }) => `${path}  ${formatBytes(size)}\n`).join('')
  const how = `${describeForms(images)}${describeLayers(manifesto.description)}`
  return images.length === 0 ? '' : `${table}${describeLeftOut(images)}${how}${delta}${written}`
}

function describeForms(images: readonly BundledImage[]): string {
  return images
    .flatMap(({ forms = [] }) => forms)
    .map(
      ({ reference, digest }) =>
        `converted on the far side when asked for: ${reference}${digest === undefined ? '' : `  ${digest}`}\n`,
    )
    .join('')
}

/** What could not be split is larger than it need be, so it is said which and why. */
function describeLayers({ layers }: BundleDescription): string {
  if (layers === undefined) return ''
  const whole = layers.filter((layer) => layer.travels === 'whole')
  const lines = whole.map(({ digest, size, why }) => `  ${digest}  ${formatBytes(size)}  ${why}\n`)
  const count = `${layers.length - whole.length} of ${layers.length} layers go as tars, from which the import makes them again`
  return `${count}${lines.length === 0 ? '' : '; as they are:'}\n${lines.join('')}`
}

function describePlatforms({ platforms, originals = [] }: BundledImage): string {
  const all = platforms.map((one) => (originals.includes(one) ? `${one} (original)` : one))
  return all.join(' ') || '-'
}

/** An index goes along whole, so what it names and nobody carries must be said. */
function describeLeftOut(images: readonly BundledImage[]): string {
  return images
    .flatMap(({ name, leftOut = [] }) =>
      leftOut.length === 0 ? [] : [`left out of ${name}: ${leftOut.join(', ')}\n`],
    )
    .concat(images.some(({ leftOut }) => leftOut) ? ['(--platform all carries them)\n'] : [])
    .join('')
}

export function formatJson({ files, manifesto }: Exported, outcomes: readonly Outcome[]): string {
  const { images, requires, blobs, omitted, layers } = manifesto.description
  const sums = { blobs: blobs.length, omitted: omitted.length }
  const failures = outcomes.flatMap((one) =>
    'error' in one ? [{ reference: one.image.text, error: describeFailure(one) }] : [],
  )
  return `${JSON.stringify({ files, images, requires, ...sums, layers, failures }, null, 2)}\n`
}
