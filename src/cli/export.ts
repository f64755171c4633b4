/** `crossdock export`: images into one bundle that can be carried and loaded anywhere. */
import { availableParallelism } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import type { App } from '../app.ts'
import type { BundledImage } from '../bundle/description.ts'
import { type ExportDeps, type Exported, Exports } from '../bundle/exports.ts'
import type { ExportTarget, ExportTask, PriorBundle } from '../bundle/export-task.ts'
import {
  compressionOfName,
  hasExtension,
  isArchiveName,
  OUTER_COMPRESSIONS,
  OUTER_LEVELS,
  type OuterCompression,
} from '../bundle/outer-compression.ts'
import { isFolder, noParent } from '../bundle/output-files.ts'
import { readPrior } from '../bundle/prior-bundle.ts'
import { parseSize } from '../config/units.ts'
import { CrossdockError } from '../errors.ts'
import { parsePlatform } from '../oci/platform.ts'
import { describeFailure, failuresIn, type Outcome, sayFailures } from './failures.ts'
import { parseWanted, readWanted, type WantedImage } from './image-lists.ts'
import { interruptionOf } from './interruption.ts'
import { complain, formatBytes, formatTable, UsageError } from './output.ts'
import { showProgress } from './progress-view.ts'
import { type CommonOptions, openToCarry } from './session.ts'
import type { System } from './system.ts'

export interface ExportOptions extends CommonOptions {
  readonly output: string
  readonly platform?: readonly string[]
  readonly compress?: string
  readonly level?: string
  readonly threads?: string
  readonly format?: string
  readonly withSources?: boolean
  readonly since?: readonly string[]
  readonly split?: string
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
  const task = { images, withSources, format, since, target, failFast }
  const exported = await run(task, app, system)
  for (const warning of exported.warnings) complain(output, `warning: ${warning}`)
  const outcomes = outcomesOf(images, exported)
  output.out(options.json ? formatJson(exported, outcomes) : formatSummary(exported))
  const { length } = images
  return sayFailures(failuresIn(outcomes), { asked: length, tried: length }, output)
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
  return { ...app, offline: config.cache.offline, dockerPlatform: parsePlatform(platform) }
}

/** Throws UsageError for the output itself: a delta in the place of its base would be all that is left of either. */
async function openPrior(path: string, output: string): Promise<PriorBundle> {
  if (path === output || path.replace(/\.(?:\d{3,}|sha256)$/, '') === output) {
    throw new UsageError(`--since ${path} is the output; give the delta a name of its own`)
  }
  try {
    return await readPrior(path)
  } catch (error) {
    if (!(error instanceof CrossdockError)) throw error
    throw new UsageError(`--since ${path}: ${error.message}`, { cause: error })
  }
}

/** A folder when nothing says archive: no extension, a slash at the end, or a folder that is there. Throws UsageError. */
async function targetOf(
  options: ExportOptions,
  path: string,
  format: string,
): Promise<ExportTarget> {
  const { output, compress, split } = options
  if (!(await isFolder(dirname(path)))) throw new UsageError(`--output: ${noParent(path)}`)
  const asksForArchive = compress !== undefined || split !== undefined || format === 'docker'
  const isMeant = output.endsWith('/') || (await isFolder(path))
  if (isMeant || !(asksForArchive || isArchiveName(path) || hasExtension(path))) {
    if (asksForArchive) {
      throw new UsageError(
        `--output ${path} is a folder; give a file such as ${basename(path)}.tar`,
      )
    }
    return { kind: 'folder', path }
  }
  const compression = compressionOf(compress, path)
  const { min, max } = OUTER_LEVELS[compression]
  return {
    kind: 'archive',
    path,
    outer: {
      compression,
      level: parseNumber('--level', options.level, min, max),
      threads: parseNumber('--threads', options.threads, 1, 256) ?? availableParallelism(),
    },
    split: split === undefined ? undefined : parseVolume(split),
  }
}

function compressionOf(asked: string | undefined, path: string): OuterCompression {
  if (asked === undefined) {
    const isOther = hasExtension(path) && !isArchiveName(path)
    const byName = isArchiveName(path) ? compressionOfName(path) : 'none'
    if (byName !== undefined && !isOther) return byName
    throw new UsageError(
      `--output ${path} has an extension that crossdock does not write; use .tar, .tar.zst (.tzst) or .tar.xz (.txz), say --compress, or end it with / for a folder`,
    )
  }
  const known = OUTER_COMPRESSIONS.find((one) => one === asked)
  if (known !== undefined) return known
  throw new UsageError(`--compress ${asked} does not exist; use ${OUTER_COMPRESSIONS.join(', ')}`)
}

function parseNumber(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${option} ${text} is not possible here; use ${min} to ${max}`)
}

function parseVolume(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined && bytes > 0) return bytes
  throw new UsageError(`--split ${text} is no size; use 4GiB or 700MB, say`)
}

function formatSummary({ files, manifesto }: Exported): string {
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
  return images.length === 0 ? '' : `${table}${describeLeftOut(images)}${delta}${written}`
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

function formatJson({ files, manifesto }: Exported, outcomes: readonly Outcome[]): string {
  const { images, requires, blobs, omitted } = manifesto.description
  const sums = { blobs: blobs.length, omitted: omitted.length }
  const failures = outcomes.flatMap((one) =>
    'error' in one ? [{ reference: one.image.text, error: describeFailure(one) }] : [],
  )
  return `${JSON.stringify({ files, images, requires, ...sums, failures }, null, 2)}\n`
}
