/** Who could pull with our credentials: the rule that keeps private images from everyone who can connect. */
import { join } from 'node:path'
import { isLoopback } from './address.ts'
import type { Environment } from './environment.ts'
import { ConfigError, type PlaceOf, problemLine } from './problem.ts'
import type { Config } from './schema.ts'

/** Keys of an upstream that make it answer more than it tells the public. */
const CREDENTIALS = ['username', 'password', 'passwordFile', 'cert'] as const

const ADVICE =
  'listen on 127.0.0.1 only, set listen[].tls.clientCa, or set allowOpenCredentials: true if everyone may have those images'

/** True when others than this machine's users get in without proving who they are, and nobody said that this is meant. */
export function isOpenToAll(
  config: Pick<Config, 'listen' | 'auth' | 'allowOpenCredentials'>,
): boolean {
  return (
    !config.allowOpenCredentials &&
    config.auth.mode === 'none' &&
    config.listen.some(({ host, tls }) => !isLoopback(host) && tls?.clientCa === undefined)
  )
}

/** Throws ConfigError when credentials of the configuration would be everyone's. */
export function refuseOpenCredentials(config: Config, placeOf: PlaceOf): void {
  if (!isOpenToAll(config)) return
  const problems = Object.entries(config.upstreams).flatMap(([name, upstream]) => {
    const key = CREDENTIALS.find((one) => upstream[one] !== undefined)
    if (key === undefined) return []
    const text = `would hand out what these credentials open to everyone who can connect; ${ADVICE}`
    return [problemLine({ path: ['upstreams', name, key], text }, placeOf)]
  })
  if (problems.length > 0) throw new ConfigError(problems)
}

/** Throws ConfigError when a running server would open its doors: a slip in a file must not do that to who watches nothing. */
export function refuseOpening(running: Config, wanted: Config, placeOf: PlaceOf): void {
  if (isOpenToAll(running) || !isOpenToAll(wanted)) return
  const text = 'none lets everyone in; restart the server for that'
  throw new ConfigError([problemLine({ path: ['auth', 'mode'], text }, placeOf)])
}

/** The Docker client's configuration file. */
export function dockerConfigFile(env: Environment, home: string): string {
  return join(env.DOCKER_CONFIG || join(home, '.docker'), 'config.json')
}

/** True when a Docker configuration names credentials or a program that has them. */
export function holdsCredentials(dockerConfig: string): boolean {
  try {
    const { auths, credHelpers, credsStore } = JSON.parse(dockerConfig) as Record<string, unknown>
    return (
      [auths, credHelpers].some((map) => Object.keys(map ?? {}).length > 0) || Boolean(credsStore)
    )
  } catch {
    return false
  }
}

/** The one warning. */
export function openCredentialsWarning(file: string): string {
  return `credentials of ${file} are not used, since everyone who can connect would get what they open; ${ADVICE}`
}
