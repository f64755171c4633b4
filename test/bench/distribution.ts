/** The peer in serving: distribution 3, with what crossdock made. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Crossdock } from '../helpers/crossdock-process.ts'
import { TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { findFreePort } from '../helpers/fixtures-hostile.ts'
import { openFolder } from './source.ts'

export interface Peer extends AsyncDisposable {
  readonly port: number
  readonly pid: number
}

/** distribution as its own documentation runs it, without an access log; on disk unless `storage` says where. */
export async function startDistribution(storage?: object): Promise<Peer> {
  const folder = await openFolder()
  const port = await findFreePort()
  const file = join(folder.path, 'config.yml')
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: storage ?? { filesystem: { rootdirectory: join(folder.path, 'data') } },
    http: { addr: `127.0.0.1:${port}` },
  }
  await writeFile(file, JSON.stringify(config))
  const child = spawn(join(TOOLS, 'registry'), ['serve', file], { stdio: 'ignore' })
  for (let i = 0; i < 100; i++) {
    const isUp = await fetch(`http://127.0.0.1:${port}/v2/`).then(
      (response) => response.ok,
      () => false,
    )
    if (isUp) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    port,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await folder[Symbol.asyncDispose]()
    },
  }
}

/** The same manifests and blobs, byte for byte. */
export async function copyTo(peer: Peer, crossdock: Crossdock, image: string): Promise<void> {
  await mustRun('skopeo', [
    'copy',
    '-q',
    '--preserve-digests',
    '--src-tls-verify=false',
    '--dest-tls-verify=false',
    `docker://${crossdock.host}/${image}`,
    `docker://127.0.0.1:${peer.port}/${image}`,
  ])
}
