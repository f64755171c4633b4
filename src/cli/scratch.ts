/** A store of its own that goes away: what only passes through leaves no traces among what is served. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type App, openApp } from '../app.ts'
import { type CommonOptions, loadFor } from './session.ts'
import type { System } from './system.ts'

/** In a new folder of `parent`, for as long as `stack` lives; it never dials out. */
export async function openScratch(
  options: CommonOptions,
  system: System,
  parent: string,
  stack: AsyncDisposableStack,
): Promise<App> {
  const { config, origin } = await loadFor(options, system)
  const data = await mkdtemp(join(parent, 'crossdock-'))
  stack.defer(() => rm(data, { recursive: true, force: true }))
  const log = { ...config.log, level: 'warn' as const }
  const local = { ...config, data, log, cache: { ...config.cache, offline: true } }
  const { env, log: out } = system
  const around = { env, log: out, dockerConfig: undefined, placeOf: origin.of }
  return stack.use(await openApp(local, around))
}
