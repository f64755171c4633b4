/** A PostgreSQL of Debian's in a folder of its own, on a port of its own on loopback, as a user without rights; fast, not durable. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const USER = 'crossdock'
export const PASSWORD = 'pass word/@:%' // what an address must escape

const READY = /database system is ready to accept (?:read-only )?connections/

/** The newest that is installed. */
export const POSTGRES_BIN: string | undefined = globSync('/usr/lib/postgresql/*/bin/initdb')
  .sort((a, b) => versionIn(a) - versionIn(b))
  .at(-1)
  ?.replace(/\/initdb$/, '')

export const WITHOUT_POSTGRES =
  'PostgreSQL is not installed, so its tests are skipped; test/setup.sh installs it'

export interface PostgresServer extends AsyncDisposable {
  readonly port: number
  readonly pid: number
  /** The address of a database of this name. */
  url(database: string): string
  /** `fast` ends what is under way; `immediate` is a crash. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  start(): Promise<void>
  /** A second server that follows this one, in a folder that must not be there yet; it only reads until it is promoted. */
  standby(folder: string): Promise<PostgresServer>
  promote(): Promise<void>
}

/** Makes a server in `folder`, which must not be there yet, and starts it. */
export async function startPostgres(folder: string, bin = POSTGRES_BIN): Promise<PostgresServer> {
  if (bin === undefined) throw new Error(WITHOUT_POSTGRES)
  const user = unprivileged()
  await mkdir(folder, { recursive: true })
  await chmod(folder, 0o700)
  await writeFile(join(folder, 'password'), PASSWORD, { mode: 0o644 })
  if (user !== undefined) await chown(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const how = { ...user, cwd: folder, env: { LC_ALL: 'C.UTF-8', HOME: folder } }
  const options = ['--auth=scram-sha-256', `--pwfile=${join(folder, 'password')}`, '--no-sync']
  await run(join(bin, 'initdb'), ['-D', data, '-U', USER, '-E', 'UTF8', ...options], how)
  const server = new Server(bin, data, await freePort(), how)
  await server.start()
  return server
}

class Server implements PostgresServer {
  readonly port: number
  readonly #bin: string
  readonly #command: readonly [string, ...string[]]
  readonly #run: object
  readonly #data: string
  #child: ChildProcess | undefined

  constructor(bin: string, data: string, port: number, run: object) {
    this.port = port
    this.#bin = bin
    this.#data = data
    this.#run = run
    const settings = {
      port,
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'off',
      full_page_writes: 'off',
      max_connections: 200,
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    this.#command = [join(bin, 'postgres'), '-D', data, ...options]
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  url(database: string): string {
    return `postgres://${USER}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${this.port}/${database}`
  }

  async start(): Promise<void> {
    const [program, ...args] = this.#command
    const child = spawn(program, args, { ...this.#run, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#child = child
    let log = ''
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString()
      if (READY.test(log)) resolve()
      log = log.slice(-4_000)
    })
    child.once('exit', () => reject(new Error(`postgres ended: ${log}`)))
    await ready
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    const child = this.#child
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    await ended
  }

  async standby(folder: string): Promise<PostgresServer> {
    const user = unprivileged()
    await mkdir(folder, { recursive: true })
    await chmod(folder, 0o700)
    if (user !== undefined) await chown(folder, user.uid, user.gid)
    const data = join(folder, 'data')
    const from = new URL(this.url('postgres'))
    const how = ['--checkpoint=fast', '--write-recovery-conf', '--no-sync']
    await run(join(this.#bin, 'pg_basebackup'), ['-D', data, '-d', from.href, ...how], this.#run)
    const server = new Server(this.#bin, data, await freePort(), this.#run)
    await server.start()
    return server
  }

  async promote(): Promise<void> {
    await run(join(this.#bin, 'pg_ctl'), ['-D', this.#data, '-w', 'promote'], this.#run)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate')
    await rm(join(this.#data, '..'), { recursive: true, force: true })
  }
}

/** Root may not run it: then Debian's user for it does. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0 || !existsSync('/etc/passwd')) return undefined
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(readFileSync('/etc/passwd', 'utf8'))
  return line === null ? undefined : { uid: Number(line[1]), gid: Number(line[2]) }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function versionIn(path: string): number {
  return Number(/postgresql\/(\d+)/.exec(path)?.[1])
}
