/** Reads the files that upstreams name (passwords, authorities, client certificates) into settings, before anything is served. */
import { readFile, stat } from 'node:fs/promises'
import { ConfigError, formatPath } from './problem.ts'
import type { Config, UpstreamConfig } from './schema.ts'

export interface UpstreamSettings {
  readonly url?: string | undefined
  readonly mirrors: readonly string[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** PEM texts. */
  readonly tls: {
    readonly ca?: string | undefined
    readonly cert?: string | undefined
    readonly key?: string | undefined
    readonly verify: boolean
  }
  readonly allowedRealms: readonly string[]
}

type FileKey = 'passwordFile' | 'ca' | 'cert' | 'key'

/** Secrets and certificates are small; more is the wrong file. */
const MAX_FILE_BYTES = 1024 * 1024

/** By upstream's name. Throws ConfigError with every file that cannot be used. */
export async function upstreamSettings(
  config: Pick<Config, 'upstreams'>,
): Promise<Readonly<Record<string, UpstreamSettings>>> {
  const problems: string[] = []
  const read = (name: string, upstream: UpstreamConfig) => async (key: FileKey) => {
    const path = upstream[key]
    if (path === undefined) return undefined
    const text = await readText(path).catch((error: Error) => {
      const at = formatPath(['upstreams', name, key])
      problems.push(`${path}: ${at}: cannot read the file: ${error.message}`)
      return ''
    })
    return text
  }
  const entries = await Promise.all(
    Object.entries(config.upstreams).map(
      async ([name, upstream]) => [name, await settingsOf(upstream, read(name, upstream))] as const,
    ),
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.fromEntries(entries)
}

async function settingsOf(
  upstream: UpstreamConfig,
  read: (key: FileKey) => Promise<string | undefined>,
): Promise<UpstreamSettings> {
  const { url, mirrors, username, password, tlsVerify, allowedRealms } = upstream
  const fromFile = (await read('passwordFile'))?.replace(/\r?\n$/, '')
  return {
    url,
    mirrors,
    username,
    password: password ?? fromFile,
    tls: {
      ca: await read('ca'),
      cert: await read('cert'),
      key: await read('key'),
      verify: tlsVerify,
    },
    allowedRealms,
  }
}

async function readText(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > MAX_FILE_BYTES) throw new Error('it is larger than 1 MiB; is it the right one?')
  return await readFile(path, 'utf8')
}
