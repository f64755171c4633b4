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
  const imports = createImports(app)
  const signal = interruptionOf(system, 'nothing of this one was imported; those before it were')
  const outcomes: Outcome[] = []
  // One after the other: a delta may stand behind the bundle that it builds on.
  for (const path of paths) {
    try {
      const fallback = fallbackOf(path, options.name, app)
      const input = await openBundle(resolve(system.cwd, path))
      const imported = await imports.import(input, { fallback, signal })
      outcomes.push({ path, imported })
    } catch (error) {
      outcomes.push({ path, error })
      if (signal.aborted) break
    }
  }
  system.output.out(options.json ? formatJson(outcomes) : formatSummary(outcomes))
  for (const one of outcomes) {
    if ('error' in one) complain(system.output, `${one.path}: ${describeError(one.error)}`)
  }
  return outcomes.some((one) => 'error' in one) ? EXIT.failed : EXIT.ok
}

export function createImports(app: App): Imports {
  return new Imports({
    ...app,
    limits: app.limits,
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
function fallbackOf(path: string, name: string | undefined, app: App): Repository {
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
  return `${formatTable(['IMAGE', 'PROFILE', 'DIGEST'], rows)}${blobs} new blobs, ${formatBytes(bytes)}\n`
}

function formatJson(outcomes: readonly Outcome[]): string {
  const list = outcomes.map((one) =>
    'error' in one ? { path: one.path, error: describeError(one.error) } : one.imported,
  )
  return `${JSON.stringify(list, null, 2)}\n`
}
