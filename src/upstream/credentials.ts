/** Who we are to a registry: what the configuration says, else the Docker client's config file and its helpers. */
import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { Semaphore } from '../lib/semaphore.ts'
import type { Environment } from './proxies.ts'

export type Credentials =
  | { readonly username: string; readonly password: string }
  | { readonly identityToken: string }

/** Names of Docker Hub: credentials for one are for all. */
export const HUB_HOSTS: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io']
/** What Docker's tools call the Hub in their files and towards helpers. */
const HUB_KEY = 'https://index.docker.io/v1/'

const HELPER_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const HELPER_MS = 10_000
const HELPER_BYTES = 64 * 1024
const MAX_FILE_BYTES = 1024 * 1024
/** Helpers that run at a time: where any upstream is allowed, clients choose how many hosts there are to ask for. */
const MAX_PROGRAMS = 4
/** Helpers are slow and their answers live for hours. */
const REMEMBERED_MS = 60_000
/** So old an answer is asked for again after a refusal. */
const RECENT_MS = 5_000

/** Runs `docker-credential-<name> get` with `server` on its input; its output. */
export type RunHelper = (name: string, server: string) => Promise<string>

interface DockerConfig {
  readonly auths?: unknown
  readonly credHelpers?: unknown
  readonly credsStore?: unknown
}

export class DockerCredentials {
  /** The file, or the folder that it lies in. */
  readonly #path: string
  readonly #runHelper: RunHelper
  readonly #programs = new Semaphore(MAX_PROGRAMS)
  readonly #helped = new LRUCache<string, { readonly found: Credentials | undefined }>({
    max: 256,
    ttl: REMEMBERED_MS,
  })

  constructor(path: string, env: Environment, runHelper: RunHelper = helperRunner(env)) {
    this.#path = path
    this.#runHelper = runHelper
  }

  /**
   * For exactly this `host[:port]`, or an alias when it is the Hub's. A helper that fails counts as having nothing; `fresh`
   * asks it again.
   */
  async find(
    host: string,
    how: { readonly fresh?: boolean | undefined } = {},
  ): Promise<Credentials | undefined> {
    const config = await this.#read()
    const names = HUB_HOSTS.includes(host) ? HUB_HOSTS : [host]
    const helper = entryFor(config.credHelpers, names) ?? config.credsStore
    if (typeof helper === 'string' && HELPER_NAME.test(helper)) {
      const server = names === HUB_HOSTS ? HUB_KEY : host
      const helped = await this.#ask(helper, server, how.fresh === true)
      if (helped !== undefined) return helped
    }
    return parseAuth(entryFor(config.auths, names))
  }

  async #read(): Promise<DockerConfig> {
    try {
      const info = await stat(this.#path)
      const file = info.isDirectory() ? join(this.#path, 'config.json') : this.#path
      if (info.size > MAX_FILE_BYTES) return {}
      const value: unknown = JSON.parse(await readFile(file, 'utf8'))
      return typeof value === 'object' && value !== null ? value : {}
    } catch {
      // Nobody asked for this file by name: not being there, or not being ours to read, is no failure.
      return {}
    }
  }

  async #ask(helper: string, server: string, fresh: boolean): Promise<Credentials | undefined> {
    const key = `${helper} ${server}`
    const known = this.#helped.get(key)
    // Whoever makes a registry refuse us must not make us run programs all the time.
    const isRecent = this.#helped.getRemainingTTL(key) > REMEMBERED_MS - RECENT_MS
    if (known !== undefined && (!fresh || isRecent)) return known.found
    const found = await this.#programs
      .run(() => this.#runHelper(helper, server))
      .then(parseHelped)
      // Whatever it said instead of credentials may hold a secret, and an error of the parser would quote it.
      .catch(() => undefined)
    this.#helped.set(key, { found })
    return found
  }
}

/** The entry whose key, without scheme and path, is one of `names`. */
function entryFor(entries: unknown, names: readonly string[]): unknown {
  if (typeof entries !== 'object' || entries === null) return undefined
  for (const [key, value] of Object.entries(entries)) {
    const host =
      key
        .toLowerCase()
        .replace(/^https?:\/\//, '')
        .split('/')[0] ?? ''
    if (names.includes(host.replace(/:443$/, ''))) return value
  }
  return undefined
}

function parseAuth(entry: unknown): Credentials | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined
  const { auth, username, password, identitytoken } = entry as Record<string, unknown>
  if (isText(identitytoken)) return { identityToken: identitytoken }
  if (isText(username) && isText(password)) return { username, password }
  if (!isText(auth)) return undefined
  const decoded = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '')
  const colon = decoded.indexOf(':')
  return colon <= 0
    ? undefined
    : { username: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
}

function parseHelped(output: string): Credentials | undefined {
  const { Username: username, Secret: secret } = JSON.parse(output) as Record<string, unknown>
  if (!isText(secret)) return undefined
  if (username === '<token>') return { identityToken: secret }
  return isText(username) ? { username, password: secret } : undefined
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function helperRunner(env: Environment): RunHelper {
  return (name, server) =>
    new Promise((resolve, reject) => {
      const child = execFile(
        `docker-credential-${name}`,
        ['get'],
        { timeout: HELPER_MS, maxBuffer: HELPER_BYTES, env: { ...env } },
        // The error would quote the helper's output; nobody needs to see that.
        (error, stdout) => (error ? reject(new Error(`helper ${name} failed`)) : resolve(stdout)),
      )
      child.stdin?.on('error', () => undefined)
      child.stdin?.end(server)
    })
}
