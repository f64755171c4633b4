/** The two hosts of an air gap: a near one with an upstream, a far one that must not dial out. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readFiles } from '../../src/bundle/read-files.ts'
import { decompressOuter } from '../../src/bundle/outer-compression.ts'
import { readTar } from '../../src/bundle/tar-archive.ts'
import { collect } from '../../src/lib/streams.ts'
import { type CommandResult, type RunningCommand, Workplace } from './command.ts'
import { FakeRegistry } from './fake-registry.ts'
import { storedTree } from './stored.ts'

/** What both hosts call the registry. */
export const UPSTREAM = 'registry.example'

export interface Hosts extends AsyncDisposable {
  readonly registry: FakeRegistry
  readonly near: Workplace
  readonly far: Workplace
}

export async function openHosts(): Promise<Hosts> {
  await using opening = new AsyncDisposableStack()
  const registry = opening.use(await FakeRegistry.start())
  const near = opening.use(await Workplace.create())
  const far = opening.use(await Workplace.create())
  await near.write('crossdock.yaml', nearConfig(registry.url))
  await far.write('crossdock.yaml', FAR_CONFIG)
  const owned = opening.move()
  return { registry, near, far, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export function nearConfig(url: string): string {
  return `
defaultUpstream: ${UPSTREAM}
upstreams: { ${UPSTREAM}: { url: ${url} } }
convert: { defaultPlatforms: [linux/amd64] }
`
}

/** Nothing is configured there: names come with the imports. */
export const FAR_CONFIG = `
listen: [ { address: 127.0.0.1:0 } ]
admin: off
cache: { offline: true }
convert: { defaultPlatforms: [linux/amd64] }
`

/** Runs a command that must work. */
export async function must(host: Workplace, ...args: readonly string[]): Promise<CommandResult> {
  const result = await host.run(...args)
  if (result.code !== 0) throw new Error(`crossdock ${args.join(' ')}: ${result.err}`)
  return result
}

/** Serves a host while `use` runs; `get` asks it. */
export async function serving<T>(
  host: Workplace,
  use: (get: (path: string) => Promise<Response>, url: string) => Promise<T>,
): Promise<T> {
  const server: RunningCommand = host.start('serve')
  const url = await server.said(/(http:\/\/127\.0\.0\.1:\d+)/)
  try {
    return await use((path) => fetch(`${url}/v2/${path}`, { headers: { accept: '*/*' } }), url)
  } finally {
    server.signal()
    server.signal()
    await server.done
  }
}

/** Names and bytes of everything in an archive. */
export async function filesOf(archive: string): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>()
  for await (const entry of readTar(decompressOuter(readFiles([archive])))) {
    if (entry.kind === 'file') files.set(entry.name, await collect(entry.read(), 2 ** 30))
  }
  return files
}

/** Every file of the store with its size, the catalog left out: what a failed import must not change. */
export async function storeOf(host: Workplace): Promise<readonly string[]> {
  return await storedTree(join(host.folder, 'data'))
}

export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T
}
