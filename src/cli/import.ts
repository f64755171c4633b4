/** `crossdock import`: bundles and what other tools exported, into the store. */
import { availableParallelism } from 'node:os'
import { basename, resolve } from 'node:path'
import type { App } from '../app.ts'
import { type Imported, Imports } from '../bundle/imports.ts'
import { openBundle } from '../bundle/input-files.ts'
import { locate } from '../naming.ts'
import type { Repository } from '../oci/repository.ts'
import { interruptionOf } from './interruption.ts'
import { complain, describeError, EXIT, formatBytes, formatTable } from './output.ts'
import { showProgress } from './progress-view.ts'
import { type CommonOptions, openSession } from './session.ts'
import type { System } from './system.ts'

export interface ImportOptions extends CommonOptions {
  /** Repository of images that carry no name. */
  readonly name?: string
}

type Outcome = { readonly path: string } & (
  | { readonly imported: Imported }
  | { readonly error: unknown }
)

export async function importCommand(
  paths: readonly string[],
  options: ImportOptions,
  system: System,
): Promise<number> {
  await using app = await openSession(options, system)
  const outcomes = await importAll(paths, options, app, system)
  system.output.out(options.json ? formatJson(outcomes) : formatSummary(outcomes))
  for (const one of outcomes) {
    if ('error' in one) complain(system.output, `${one.path}: ${describeError(one.error)}`)
  }
  return outcomes.some((one) => 'error' in one) ? EXIT.failed : EXIT.ok
}

async function importAll(
  paths: readonly string[],
  { name }: ImportOptions,
  app: App,
  system: System,
): Promise<readonly Outcome[]> {
  const imports = createImports(app)
  const signal = interruptionOf(system, 'nothing of this one was imported; those before it were')
  const outcomes: Outcome[] = []
  using _view = showProgress(app.progress, system.output)
  // One after the other: a delta may stand behind the bundle that it builds on.
  for (const path of paths) {
    try {
      const fallback = fallbackOf(path, name, app)
      const input = await openBundle(resolve(system.cwd, path))
      const imported = await imports.import(input, { fallback, signal })
      outcomes.push({ path, imported })
    } catch (error) {
      outcomes.push({ path, error })
      if (signal.aborted) break
    }
  }
  return outcomes
}

export function createImports(app: App): Imports {
  return new Imports({
    ...app,
    limits: app.limits,
    rebuild: (...job) => app.threads.rebuild(...job),
    maxLayerBytes: app.config.limits.layerUncompressed,
    concurrency: availableParallelism(),
    locate: (name) => locateAny(name, app),
  })
}

/** Any host will do: what an import brings counts as configured. */
function locateAny(name: string, { upstreams }: App): Repository {
  return locate(name, undefined, { upstreams, offline: true })
}

/** `localhost/NAME` after the file's name, unless `--name` says it. */
export function fallbackOf(path: string, name: string | undefined, app: App): Repository {
  if (name !== undefined) return locateAny(name, app)
  const stem = basename(path)
    .replace(/\.(?:tar|tgz|txz|tzst|oci)(?:\..*)?$/i, '')
    .toLowerCase()
  const clean = stem.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '')
  return { upstream: 'localhost', name: clean || 'imported' }
}

function formatSummary(outcomes: readonly Outcome[]): string {
  const done = outcomes.flatMap((one) => ('imported' in one ? [one.imported] : []))
  if (done.length === 0) return ''
  const rows = done.flatMap(({ images }) =>
    images.map(({ name, profile, digest }) => [name, profile ?? 'original', digest]),
  )
  const blobs = done.reduce((sum, { added }) => sum + added.blobs, 0)
  const bytes = done.reduce((sum, { added }) => sum + added.bytes, 0)
  const table = formatTable(['IMAGE', 'PROFILE', 'DIGEST'], rows)
  const forms = done.flatMap(({ forms }) =>
    forms.map((form) => `converted when asked for: ${form}\n`),
  )
  const rebuilt = done.reduce((sum, one) => sum + one.rebuilt, 0)
  const layers = rebuilt === 0 ? '' : `, of these ${countOf(rebuilt)} made again to the last bit`
  return `${table}${forms.join('')}${blobs} new blobs, ${formatBytes(bytes)}${layers}\n`
}

function countOf(layers: number): string {
  return layers === 1 ? '1 layer' : `${layers} layers`
}

function formatJson(outcomes: readonly Outcome[]): string {
  const list = outcomes.map((one) =>
    'error' in one ? { path: one.path, error: describeError(one.error) } : one.imported,
  )
  return `${JSON.stringify(list, null, 2)}\n`
}
