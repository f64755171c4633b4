/** The registry that lies, as a process on a free port. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { SHARED } from './fixtures.ts'

export interface Lie {
  readonly lie: string
  readonly what: string
  readonly expect: string
}

export interface HostileRegistry extends AsyncDisposable {
  readonly host: string
  /** Requests by repository or path, and how many carried credentials. */
  stats(): Promise<Readonly<Record<string, { requests: number; authorization: number }>>>
}

export async function startHostileRegistry(): Promise<HostileRegistry> {
  const port = await findFreePort()
  const script = join(SHARED, 'fixtures', 'hostile-registry.mjs')
  const child = spawn(process.execPath, [script, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => ['']),
  ])) as [Buffer | string]
  if (!String(said).includes('hostile registry on')) throw new Error('it did not start')
  const host = `127.0.0.1:${port}`
  return {
    host,
    stats: async () => (await (await fetch(`http://${host}/stats`)).json()) as never,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}

/** What the registry lies about, from a start of its own. */
export async function listLies(): Promise<readonly Lie[]> {
  await using registry = await startHostileRegistry()
  return (await (await fetch(`http://${registry.host}/lies.json`)).json()) as readonly Lie[]
}

export async function findFreePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
