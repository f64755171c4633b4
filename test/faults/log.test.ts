/** F74: what happens to a server whose log or greeting nobody takes: a reader that left, and one that never reads. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { storeEnvironment } from '../helpers/pair.ts'

/** What may wait for the reader of the log, bytes (src/lib/lines.ts), and what the two sides of a pipe hold of it. */
const PENDING = 1024 ** 2
const IN_PIPES = 1024 ** 2

let origin: FakeRegistry
let folder: string

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-log-'))
  await origin.pushImage('log/app', '1', { layers: [{ size: 10_000 }] })
})

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test.each([
  ['a reader of stdout that has left before the first byte', 'stdout'],
  ['a reader of stderr that has left before the first byte', 'stderr'],
  ['a log on a full disk', 'full'],
] as const)(
  '%s does not end the server',
  async (_, trouble) => {
    await using server = await Server.start(trouble)
    for (let i = 0; i < 3; i += 1) {
      for (const tag of ['1', '1-zstd']) {
        expect((await pull(`${server.door}/v2`, 'log/app', tag)).layers).toHaveLength(1)
      }
    }
    if (trouble !== 'stdout') expect(await server.lostLines()).toBeGreaterThan(0)
    expect(await server.stop()).toBe(0)
  },
  START_MS,
)

test(
  'a log that nobody reads holds up no request, is not kept without end, and says later what it lost',
  async () => {
    await using server = await Server.start()
    const agent = new Agent({ keepAlive: true, maxSockets: 20 })
    const headers = { 'user-agent': 'x'.repeat(500) }
    const requests = 6_000
    const statuses = new Set<number>()
    let left = requests
    const client = async () => {
      for (; left > 0; left -= 1) {
        statuses.add((await ask(`${server.door}/v2/`, { agent, headers })).status)
      }
    }
    await Promise.all(Array.from({ length: 20 }, client))
    expect([...statuses]).toEqual([200])
    expect((await pull(`${server.door}/v2`, 'log/app', '1-zstd')).layers).toHaveLength(1)

    const lost = await server.lostLines()
    console.info(`${lost} of ${requests} lines were dropped`)
    expect(lost).toBeGreaterThan(0)

    let log = ''
    server.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    await expect.poll(() => log, { timeout: 10_000 }).toContain('"event":"log_lost"')
    expect(log.length).toBeLessThan(PENDING + IN_PIPES)
    // Whole lines are dropped, none is cut.
    const lines = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; lines?: number })
    const told = lines.find(({ event }) => event === 'log_lost')?.lines ?? 0
    expect(told).toBe(lost)
    expect(lines.filter(({ event }) => event === 'request').length + lost).toBeGreaterThanOrEqual(
      requests,
    )
    agent.destroy()
    expect(await server.stop()).toBe(0)
  },
  START_MS,
)

/** A server of which nobody takes what it writes. */
class Server implements AsyncDisposable {
  readonly child: ChildProcess
  readonly door: string
  readonly #admin: string

  private constructor(child: ChildProcess, door: string, admin: string) {
    this.child = child
    this.door = door
    this.#admin = admin
  }

  /** A stream whose reader leaves before there is anything to read, or stderr on `/dev/full`. */
  static async start(trouble?: 'stdout' | 'stderr' | 'full'): Promise<Server> {
    const data = await mkdtemp(join(folder, 'data-'))
    const file = join(data, 'crossdock.yaml')
    const config = {
      listen: [{ address: '127.0.0.1:0' }],
      defaultUpstream: 'origin',
      upstreams: { origin: { url: origin.url } },
      convert: { defaultPlatforms: ['linux/amd64'] },
    }
    await writeFile(file, JSON.stringify(config))
    const args = [
      'serve',
      '--config',
      file,
      '--data',
      join(data, 'store'),
      '--admin',
      '127.0.0.2:0',
    ]
    await using full = await open('/dev/full', 'w')
    const child = spawn(process.execPath, [join(ROOT, 'src', 'main.ts'), ...args], {
      cwd: data,
      env: await storeEnvironment(args, data),
      stdio: ['ignore', 'pipe', trouble === 'full' ? full.fd : 'pipe'],
    })
    if (trouble === 'stdout' || trouble === 'stderr') child[trouble]?.destroy()
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}`)
    })
    ended.catch(() => undefined)
    const addresses = expect
      .poll(() => listeningOf(child.pid ?? 0), { timeout: 30_000, interval: 50 })
      .toHaveLength(2)
    await Promise.race([addresses, ended])
    const [door = '', admin = ''] = await listeningOf(child.pid ?? 0)
    return new Server(child, door, admin)
  }

  async lostLines(): Promise<number> {
    const text = (await ask(`${this.#admin}/metrics`)).bytes.toString()
    return Number(/^crossdock_log_lost_lines_total (\d+)$/m.exec(text)?.[1] ?? 0)
  }

  async stop(): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit')
      this.child.kill('SIGTERM')
      await ended
    }
    return this.child.exitCode
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const ended = once(this.child, 'exit')
      this.child.kill('SIGKILL')
      await ended
    }
  }
}

/** URLs that a process listens on, lowest address first: from the system, as its greeting may not be read. */
async function listeningOf(pid: number): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(
    names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')),
  )
  const table = await readFile('/proc/net/tcp', 'utf8')
  const found = table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    if (state !== '0A' || !links.includes(`socket:[${inode}]`)) return []
    const [address = '', port = ''] = local.split(':')
    const bytes = Buffer.from(address, 'hex').reverse()
    return [`http://${bytes.join('.')}:${Number.parseInt(port, 16)}`]
  })
  return found.sort()
}
