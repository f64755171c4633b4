/** `crossdock restore`: the originals out of bundles, to the last bit, for other programs and without a server. */
import { rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { ExportItem, ExportTask } from '../bundle/export-task.ts'
import type { OriginalImage } from '../bundle/imports.ts'
import { openBundle } from '../bundle/input-files.ts'
import { makeTemporary } from '../bundle/temporary-folders.ts'
import type { App } from '../app.ts'
import { CrossdockError } from '../errors.ts'
import { createExports, formatJson, formatSummary } from './export.ts'
import { isSameBundle, type OutputOptions, targetOf } from './export-target.ts'
import { createImports, fallbackOf } from './import.ts'
import { interruptionOf } from './interruption.ts'
import { complain, EXIT, UsageError } from './output.ts'
import { showProgress } from './progress-view.ts'
import { openScratch } from './scratch.ts'
import type { CommonOptions } from './session.ts'
import type { System } from './system.ts'

export type RestoreOptions = CommonOptions & OutputOptions

export async function restoreCommand(
  paths: readonly string[],
  options: RestoreOptions,
  system: System,
): Promise<number> {
  const target = await targetOf(options, resolve(system.cwd, options.output), 'oci')
  const bundles = paths.map((path) => resolve(system.cwd, path))
  const taken = bundles.find((path) => isSameBundle(path, target.path))
  if (taken !== undefined) {
    throw new UsageError(`--output ${taken} is a bundle that is read; give it a name of its own`)
  }
  const parent = dirname(target.path)
  const signal = interruptionOf(system, 'nothing was written')
  await using stack = new AsyncDisposableStack()
  // Beside the output, where there is room for it; a killed process leaves it to the next one that writes there.
  const folder = await makeTemporary(parent)
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const app = await openScratch(options, system, folder, stack)
  using _view = showProgress(app.progress, system.output)
  const originals = await takeAll(paths, app, { folder: parent, system, signal })
  const task: ExportTask = {
    ...{ images: originals.flatMap(itemsOf), withSources: false, restoreDigests: false },
    ...{ format: 'oci', since: [], target, failFast: true },
  }
  const exported = await createExports(app).export(task, signal)
  for (const warning of exported.warnings) complain(system.output, `warning: ${warning}`)
  system.output.out(options.json ? formatJson(exported, []) : formatSummary(exported))
  return EXIT.ok
}

async function takeAll(
  paths: readonly string[],
  app: App,
  how: { readonly folder: string; readonly system: System; readonly signal: AbortSignal },
): Promise<readonly OriginalImage[]> {
  const { folder, system, signal } = how
  const imports = createImports(app)
  const originals: OriginalImage[] = []
  for (const path of paths) {
    try {
      const input = await openBundle(resolve(system.cwd, path))
      const fallback = fallbackOf(path, undefined, app)
      originals.push(...(await imports.import(input, { fallback, signal })).originals)
    } catch (error) {
      throw ofBundle(path, folder, error)
    }
  }
  return originals
}

/** Nobody knows of a store here. */
function ofBundle(path: string, folder: string, error: unknown): unknown {
  if (!(error instanceof CrossdockError)) return error
  const { kind, message } = error
  if (kind !== 'storeFull') return new CrossdockError(kind, `${path}: ${message}`, { cause: error })
  return new CrossdockError(
    kind,
    `${folder} has no room for the images in ${path}: restoring them takes it twice; free some space or choose another place`,
    { cause: error },
  )
}

/** By each of its tags; one without any by its digest. */
function itemsOf({ repository, digest, tags }: OriginalImage): readonly ExportItem[] {
  const item = { repository, wanted: undefined, platforms: 'all' } as const
  if (tags.length === 0) return [{ ...item, reference: { digest } }]
  return tags.map((tag) => ({ ...item, reference: { tag } }))
}
