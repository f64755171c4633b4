/** What upstreams are told of the configuration; the files that it names must be readable before anything is served. */
import { readFile, stat } from 'node:fs/promises'
import { ConfigError, type PlaceOf, problemLine } from './problem.ts'
import type { Config, UpstreamConfig } from './schema.ts'

export interface UpstreamSettings {
  readonly url?: string | undefined
  readonly mirrors: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | NamedFile | undefined
  /** PEM. */
  readonly tls: {
    readonly ca?: NamedFile | undefined
    readonly cert?: NamedFile | undefined
    readonly key?: NamedFile | undefined
    readonly verify: boolean
  }
  readonly allowedRealms: readonly string[]
}

/** It is read when it is needed, and again when it changed. */
interface NamedFile {
  readonly file: string
}

type FileKey = 'passwordFile' | 'ca' | 'cert' | 'key'

/** Secrets and certificates are small; more is the wrong file. */
const MAX_FILE_BYTES = 1024 * 1024

/** By upstream's name. Throws ConfigError with every file that cannot be used. */
export async function upstreamSettings(
  config: Pick<Config, 'upstreams'>,
  placeOf: PlaceOf,
): Promise<Readonly<Record<string, UpstreamSettings>>> {
  const problems: string[] = []
  const check = (name: string, upstream: UpstreamConfig) => async (key: FileKey) => {
    const file = upstream[key]
    if (file === undefined) return undefined
    await readText(file).catch((error: Error) => {
      const text = `cannot read the file: ${error.message}`
      problems.push(problemLine({ path: ['upstreams', name, key], text }, placeOf))
    })
    return { file }
  }
  const entries = await Promise.all(
    Object.entries(config.upstreams).map(
      async ([name, upstream]) =>
        [name, await settingsOf(upstream, check(name, upstream))] as const,
    ),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.fromEntries(entries)
}

async function settingsOf(
  upstream: UpstreamConfig,
  check: (key: FileKey) => Promise<NamedFile | undefined>,
): Promise<UpstreamSettings> {
  const { url, mirrors, username, password, tlsVerify, allowedRealms } = upstream
  return {
    url,
    mirrors,
    username,
    password: password ?? (await check('passwordFile')),
    tls: {
      ca: await check('ca'),
      cert: await check('cert'),
      key: await check('key'),
      verify: tlsVerify,
    },
    allowedRealms,
  }
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > MAX_FILE_BYTES) throw new Error(`${path} is larger than 1 MiB; is it the right one?`)
  return await readFile(path, 'utf8')
}
