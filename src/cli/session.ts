/** What every command needs first: the configuration, and the store and upstreams wired to it. */
import { readFile } from 'node:fs/promises'
import { type App, openApp } from '../app.ts'
import {
  dockerConfigFile,
  holdsCredentials,
  isOpenToAll,
  openCredentialsWarning,
} from '../config/credentials.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import type { System } from './system.ts'

export interface CommonOptions {
  readonly config?: string
  readonly data?: string
  readonly listen?: string
  readonly admin?: string
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
export async function openSession(options: CommonOptions, system: System): Promise<App> {
  const { config } = await loadFor(options, system)
  const level = config.log.level === 'info' ? 'warn' : config.log.level
  return await openApp(withLog({ ...config, log: { ...config.log, level } }, system), {
    env: system.env,
    log: system.log,
    dockerConfig: dockerConfigFile(system.env, system.home),
  })
}

/** For the server, which hands out what it gets: the Docker client's credentials only when that opens nothing to strangers. */
export async function openServer(config: Config, system: System): Promise<App> {
  const file = dockerConfigFile(system.env, system.home)
  const isIgnored = isOpenToAll(config)
  const app = await openApp(withLog(config, system), {
    env: system.env,
    log: system.log,
    dockerConfig: isIgnored ? undefined : file,
  })
  const text = isIgnored ? await readFile(file, 'utf8').catch(() => '') : ''
  if (holdsCredentials(text)) {
    app.telemetry.log.warn({ event: 'credentials_ignored' }, openCredentialsWarning(file))
  }
  return app
}

function withLog(config: Config, system: System): Config {
  const { format } = config.log
  if (format !== 'auto') return config
  return { ...config, log: { ...config.log, format: system.isLogTerminal ? 'pretty' : 'json' } }
}
