/** A second S3 that nobody here wrote: SeaweedFS with all its parts in one process, on loopback. test/setup.sh --seaweed builds it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CACHE } from './fixtures.ts'
import { S3_CREDENTIALS } from './s3-server.ts'

const PROGRAM = join(CACHE, 'servers/bin/weed')

export const hasSeaweed = existsSync(PROGRAM)

export const WITHOUT_SEAWEED = `weed is not in ${PROGRAM}, so tests on SeaweedFS are skipped; test/setup.sh --seaweed builds it`

/** Its parts find each other first, ms. */
const START_MS = 60_000

/** Each part listens at its port, and with gRPC so far above. */
const GRPC = 10_000

export interface SeaweedServer extends AsyncDisposable {
  readonly url: string
}

/** Keeps all in `folder`, which goes with it. */
export async function startSeaweed(folder: string): Promise<SeaweedServer> {
  const data = join(folder, 'data')
  await mkdir(data, { recursive: true })
  const { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secretKey } = S3_CREDENTIALS
  const user = { name: 'a', credentials: [{ accessKey, secretKey }], actions: ['Admin'] }
  const users = join(folder, 's3.json')
  await writeFile(users, JSON.stringify({ identities: [user] }))
  const [s3, master, volume, filer] = await freePorts(4)
  const options = {
    ...{ ip: '127.0.0.1', 'ip.bind': '127.0.0.1', dir: data, 'volume.max': 20 },
    ...{ 'master.port': master, 'volume.port': volume, 'filer.port': filer, 's3.port': s3 },
    ...{ 's3.config': users, 'master.volumeSizeLimitMB': 64 },
  }
  const args = Object.entries(options).map(([name, value]) => `-${name}=${value}`)
  const words = ['-logtostderr=true', 'server', '-filer', '-s3', ...args]
  const child = spawn(PROGRAM, words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString()).slice(-2_000)))
  const url = `http://127.0.0.1:${s3}`
  const until = performance.now() + START_MS
  while (!(await isThere(url))) {
    if (child.exitCode !== null || performance.now() > until) {
      child.kill('SIGKILL')
      throw new Error(`SeaweedFS does not serve: ${log}`)
    }
    await sleep(200)
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function isThere(url: string): Promise<boolean> {
  return await fetch(`${url}/healthz`).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** Low enough for those of gRPC; held together, so that no two are the same. */
async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = []
  while (found.length < count) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    if (found.includes(port)) continue
    if ((await isFree(port)) && (await isFree(port + GRPC))) found.push(port)
  }
  return found
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const isOurs = await Promise.race([
    once(server, 'listening').then(() => true),
    once(server, 'error').then(() => false),
  ]).catch(() => false)
  server.close()
  return isOurs
}
