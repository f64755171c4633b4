/** An S3 that nobody here wrote: versitygw on a folder, on a port of its own on loopback. test/setup.sh builds it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CACHE } from './fixtures.ts'
import { mustRun } from './fixtures-command.ts'

const PROGRAM = join(CACHE, 'servers/bin/versitygw')

/** The program, where it is. */
export const VERSITYGW: string | undefined = existsSync(PROGRAM) ? PROGRAM : undefined

export const WITHOUT_S3 = `versitygw is not in ${PROGRAM}, so tests on S3 are skipped; test/setup.sh --s3 builds it`

/** Who may use it, in the environment of whoever does. */
export const S3_CREDENTIALS = {
  AWS_ACCESS_KEY_ID: 'crossdock',
  AWS_SECRET_ACCESS_KEY: 'not a secret',
} as const

/** How long it may take to listen, ms. */
const START_MS = 20_000

export interface S3Server extends AsyncDisposable {
  readonly url: string
  readonly pid: number
  /** Where buckets are folders, and objects files. */
  readonly folder: string
}

export interface S3Options {
  /** One of before keeps its address. */
  readonly port?: number
  /** A folder, for others than the one of `S3_CREDENTIALS`: `addS3User` makes them. */
  readonly users?: string
}

/** Somebody who may do what policies of buckets say; the name is the access key. */
export async function addS3User({ url }: S3Server, name: string, secret: string): Promise<void> {
  const { AWS_ACCESS_KEY_ID: access, AWS_SECRET_ACCESS_KEY: own } = S3_CREDENTIALS
  const as = ['admin', '--access', access, '--secret', own, '--endpoint-url', url]
  const user = ['create-user', '--access', name, '--secret', secret, '--role', 'user']
  await mustRun(PROGRAM, [...as, ...user])
}

/** Keeps its objects in `folder`. */
export async function startS3(
  folder: string,
  { port: wanted, users }: S3Options = {},
): Promise<S3Server> {
  if (VERSITYGW === undefined) throw new Error(WITHOUT_S3)
  await mkdir(folder, { recursive: true })
  const port = wanted ?? (await freePort())
  const more = users === undefined ? [] : ['--iam-dir', users]
  const args = ['--port', `127.0.0.1:${port}`, '--quiet', ...more, 'posix', folder]
  const env = {
    ROOT_ACCESS_KEY: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
    ROOT_SECRET_KEY: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
  }
  const child = spawn(VERSITYGW, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-2_000)
  })
  await listening(child, port, () => log)
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    folder,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** Ends it with all that it kept. */
export async function startS3ForRun(folder: string): Promise<S3Server> {
  const server = await startS3(folder)
  return {
    ...server,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function listening(child: ChildProcess, port: number, log: () => string): Promise<void> {
  const until = performance.now() + START_MS
  while (performance.now() < until) {
    if (child.exitCode !== null) throw new Error(`versitygw ended: ${log()}`)
    const socket = connect(port, '127.0.0.1')
    const isThere = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isThere) return
    await sleep(20)
  }
  throw new Error(`versitygw does not listen: ${log()}`)
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
