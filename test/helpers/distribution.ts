/** A distribution registry of a test's own: a process on a free port with a folder that goes away. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { program } from './fixtures.ts'
import { findFreePort } from './fixtures-hostile.ts'

export interface Distribution extends AsyncDisposable {
  /** `127.0.0.1:PORT` */
  readonly host: string
  readonly url: string
}

/** `http`: more of its configuration. */
export async function startDistribution(
  http: { readonly prefix?: string; readonly relativeurls?: boolean } = {},
): Promise<Distribution> {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-distribution-'))
  const host = `127.0.0.1:${await findFreePort()}`
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: folder } },
    http: { addr: host, ...http },
  }
  const file = join(folder, 'config.json')
  await writeFile(file, JSON.stringify(config))
  const child = spawn(program('docker-registry'), ['serve', file], { stdio: 'ignore' })
  const url = `http://${host}`
  const ask = async () => {
    if ((await fetch(`${url}${http.prefix ?? '/'}v2/`)).status !== 200) throw new Error('not yet')
  }
  await vi.waitFor(ask, { timeout: 10_000, interval: 50 })
  return {
    host,
    url,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await rm(folder, { recursive: true })
    },
  }
}
