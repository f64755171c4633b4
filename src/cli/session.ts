/** What every command needs first: the configuration, and the store and upstreams wired to it. */
import { readFile } from 'node:fs/promises'
import { type App, openApp, type Surroundings } from '../app.ts'
import {
  dockerConfigFile,
  holdsCredentials,
  isOpenToAll,
  openCredentialsWarning,
} from '../config/credentials.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { type Missing, missingAt } from '../store/existing.ts'
import type { MarkWait } from '../store/s3/mark.ts'
import { UsageError } from './output.ts'
import type { Seat } from '../workers/seat.ts'
import type { System } from './system.ts'

export interface CommonOptions {
  readonly config?: string
  readonly data?: string
  readonly listen?: string
  readonly admin?: string
  readonly quiet?: boolean
  readonly json?: boolean
}

export async function loadFor(options: CommonOptions, system: System): Promise<LoadedConfig> {
  const { listen, admin, data } = options
  return await loadConfig({
    file: options.config,
    env: system.env,
    cwd: system.cwd,
    flags: { listen, admin, data },
  })
}

/** For commands that a person runs: what the log says of ordinary events would only be noise. */
export async function openSession(
  options: CommonOptions,
  system: System,
  how: Pick<Surroundings, 'isThere'> = {},
): Promise<App> {
  const { config, origin } = await loadFor(options, system)
  const level = config.log.level === 'info' ? 'warn' : config.log.level
  return await openApp(withLog({ ...config, log: { ...config.log, level } }, system), {
    env: system.env,
    log: system.log,
    dockerConfig: dockerConfigFile(system.env, system.home),
    placeOf: origin.of,
    waits: sayWait(system),
    ...how,
  })
}

/** Somebody else's server is watched, before the store is this one's to use. */
export function sayWait(system: System): (what: MarkWait) => void {
  return ({ host, place, ms }) =>
    system.output.err(
      `waiting up to ${ms / 1000} s to see whether the server on ${host} still uses ${place}\n`,
    )
}

/** For commands on what is there: a mistyped place must not become an empty store. Throws UsageError. */
export async function openStored(options: CommonOptions, system: System): Promise<App> {
  const { config } = await loadFor(options, system)
  const missing = await missingAt(config.data, config.store)
  if (missing !== undefined) throw new UsageError(sayMissing(missing))
  return await openSession(options, system, { isThere: true })
}

function sayMissing(missing: Missing): string {
  const first = 'or pull or stage an image first'
  switch (missing.kind) {
    case 'folder':
      return `there is no store in ${missing.path}; check --data and "data" of the configuration, ${first}`
    case 'bucket':
      return `there is no crossdock store in ${missing.place}; check store.blobs, ${first}`
    case 'catalog':
      return `there is no crossdock catalog of ${missing.place} at ${missing.address}; check store.catalog, or start a server, which makes one of what lies in the bucket`
  }
}

/**
 * For commands that look at an image and fetch what is missing: the default folder need not be there; one that was typed must, and
 * so must what others may share. Offline there is nothing to fetch. Throws UsageError.
 */
export async function openToLook(options: CommonOptions, system: System): Promise<App> {
  const { config } = await loadFor(options, system)
  const isShared = config.store.blobs.kind !== 'disk'
  const needsStore = options.data !== undefined || config.cache.offline || isShared
  return await (needsStore ? openStored : openSession)(options, system)
}

/** For commands that carry images away, and fetch what is missing. Throws UsageError. */
export async function openToCarry(options: CommonOptions, system: System): Promise<App> {
  const { config } = await loadFor(options, system)
  return await (config.cache.offline ? openStored : openSession)(options, system)
}

/** For the server; `loaded` as `decided` gives it. */
export async function openServer(
  { config, origin }: LoadedConfig,
  system: System,
  seat: Seat,
  onCoordinationDamaged?: () => void,
): Promise<App> {
  const app = await openApp(config, {
    env: system.env,
    log: system.log,
    dockerConfig: servedDockerConfig(config, system),
    placeOf: origin.of,
    seat,
    ...(onCoordinationDamaged && { onCoordinationDamaged }),
  })
  const file = dockerConfigFile(system.env, system.home)
  const text = isOpenToAll(config) ? await readFile(file, 'utf8').catch(() => '') : ''
  if (holdsCredentials(text)) {
    app.telemetry.log.warn({ event: 'credentials_ignored' }, openCredentialsWarning(file))
  }
  return app
}

/** With the log's format decided. */
export function decided(loaded: LoadedConfig, system: System): LoadedConfig {
  return { ...loaded, config: withLog(loaded.config, system) }
}

/** A server hands out what it gets: the Docker client's credentials count only when that opens nothing to strangers. */
export function servedDockerConfig(config: Config, system: System): string | undefined {
  return isOpenToAll(config) ? undefined : dockerConfigFile(system.env, system.home)
}

function withLog(config: Config, system: System): Config {
  const { format } = config.log
  if (format !== 'auto') return config
  return { ...config, log: { ...config.log, format: system.isLogTerminal ? 'pretty' : 'json' } }
}
