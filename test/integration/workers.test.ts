/** Two processes of one machine on one port and one data folder: one server to whoever uses it. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Coordination } from '../../src/store/sqlite-coordination.ts'
import { textIn } from '../../src/store/sqlite-values.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { pull, RefusedError } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'
import { freePort } from '../helpers/s3-server.ts'

const MIB = 1024 * 1024
const PULLERS = 50
/** Pullers of all kinds: one kind alone fetches half of the blobs. */
const FORMS = ['1', '1-zstd'] as const
const WAIT = { timeout: 20_000, interval: 50 }

/** What is read of the admin API's answers. */
interface Told {
  readonly id: number
  readonly tasks: readonly { readonly id: number }[]
  readonly traffic: {
    readonly totals: { readonly requests: number }
    readonly savings: { readonly out: number }
  }
  readonly work: {
    readonly downloads: readonly { digest: string; waiting: { readonly count: number } }[]
  }
}

const LIMITS = { retries: 0, connections: 1_000, clientConnections: 1_000 }
const start = (config = {}) =>
  TestProxy.start({ config: { workers: 2, limits: LIMITS, ...config } })

const isSkipped = isEmbeddedOnly('workers share one disk; on S3 there are several servers instead')

describe.skipIf(isSkipped)('two workers', () => {
  let proxy: TestProxy
  beforeAll(async () => {
    proxy = await start()
  }, START_MS)
  afterEach(() => proxy.registry.clearFaults())
  afterAll(() => proxy?.[Symbol.asyncDispose]())

  const gets = (blob: string) => proxy.registry.count({ blob, method: 'GET' })
  const metric = (name: string, labels = {}) => proxy.crossdock.metric(name, labels)
  const api = async (path: string, body?: object) => {
    const how = body && {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }
    const answer = await fetch(`${proxy.crossdock.adminUrl}/api/${path}`, how)
    return (await answer.json()) as Told
  }

  test('fetch each blob once and convert each layer once for all who pull at once', async () => {
    const image = await proxy.registry.pushImage('cold/app', '1', {
      layers: [{ size: MIB }, { size: 300_000 }, { size: 1_000 }],
    })
    // So that all are there before it is over.
    proxy.registry.fault({ name: 'cold/app', kind: 'blob' }, { bytesPerSecond: MIB })

    const pulled = await Promise.all(
      Array.from({ length: PULLERS }, (_, i) =>
        pull(proxy.base, 'cold/app', FORMS[i % FORMS.length] ?? '1'),
      ),
    )

    expect(new Set(pulled.map(({ digest }) => digest)).size).toBe(FORMS.length)
    for (const blob of [image.config, ...image.layers]) expect(gets(blob.digest)).toBe(1)
    const converted = await metric('crossdock_layers_converted_total', { result: 'converted' })
    expect(converted).toBe(image.layers.length)
    const by = new Set(proxy.crossdock.requests().map((line) => Reflect.get(line, 'worker')))
    expect([...by].toSorted()).toEqual([1, 2])
  })

  test('are one server to who looks on: numbers, state, tasks and traffic of both', async () => {
    await proxy.registry.pushImage('seen/app', '1')
    const before = await metric('crossdock_requests_total', { route: 'manifest' })
    for (let i = 0; i < 6; i += 1) await pull(proxy.base, 'seen/app', '1')
    expect(await metric('crossdock_requests_total', { route: 'manifest' })).toBe(before + 6)
    expect(await metric('crossdock_workers')).toBe(2)
    expect(await metric('crossdock_upkeep_turn')).toBe(1)

    const begun = []
    for (let i = 0; i < 4; i += 1)
      begun.push(await api('actions/pin', { images: ['origin/seen/app:1'] }))
    for (const { id } of begun) {
      // Whoever is asked.
      for (let i = 0; i < 2; i += 1) {
        const task = await (
          await fetch(`${proxy.crossdock.adminUrl}/api/tasks/${id}`, {
            headers: { prefer: 'wait=5' },
          })
        ).json()
        expect(task).toMatchObject({ id, state: 'done' })
      }
    }
    const ids = begun.map(({ id }) => id)
    expect(new Set(ids).size).toBe(4)
    const { tasks } = await api('tasks')
    expect(tasks.map(({ id }) => id)).toEqual(expect.arrayContaining(ids))
    const states = [await api('state'), await api('state')]
    const total = states[0]?.traffic.totals.requests
    for (const { traffic, tasks: shown } of states) {
      expect(shown).toHaveLength(tasks.length)
      expect(traffic.totals.requests).toBe(total)
      expect(traffic.totals.requests).toBeGreaterThanOrEqual(before + 6)
    }
    expect(await (await fetch(`${proxy.crossdock.adminUrl}/api/tasks/9999999`)).status).toBe(404)
  })

  test('say no less of what went through when one of them is killed', async () => {
    await proxy.registry.pushImage('counted/app', '1')
    for (let i = 0; i < 6; i += 1) await pull(proxy.base, 'counted/app', '1-zstd')
    const before = (await api('state')).traffic
    expect(before.totals.requests).toBeGreaterThan(12)

    process.kill(Number((await workersOf(proxy))[0]), 'SIGKILL')
    await expect.poll(() => metric('crossdock_worker_deaths_total'), WAIT).toBe(1)
    const during = (await api('state')).traffic
    await expect.poll(() => metric('crossdock_workers'), WAIT).toBe(2)
    const after = [await api('state'), await api('state'), await api('state')]
    for (const { totals, savings } of [during, ...after.map(({ traffic }) => traffic)]) {
      for (const [what, count] of Object.entries(before.totals)) {
        expect(totals).toHaveProperty(
          what,
          expect.toSatisfy((now: number) => now >= count),
        )
      }
      expect(savings.out).toBeGreaterThanOrEqual(before.savings.out)
    }
  })

  test('go by a configuration that is read again, and so does who comes later', async () => {
    const { configFile } = proxy.crossdock
    const config = JSON.parse(await readFile(configFile, 'utf8'))
    const rewrite = async (level: string) => {
      await writeFile(configFile, JSON.stringify({ ...config, log: { format: 'json', level } }))
    }
    const told = (event: string) => proxy.crossdock.output().split(`"event":"${event}"`).length - 1
    await rewrite('debug')
    process.kill(proxy.crossdock.pid, 'SIGHUP')
    await expect.poll(() => told('reloaded'), WAIT).toBe(1)

    await rewrite('info')
    expect(await api('reload', {})).toEqual({ changed: ['log.level'], restart: [] })
    expect(told('reloaded')).toBe(2)
    await rewrite('loud')
    expect(await api('reload', {})).toMatchObject({
      errors: [{ message: expect.stringContaining('loud') }],
    })
    process.kill(proxy.crossdock.pid, 'SIGHUP')
    await expect.poll(() => told('reload_refused'), WAIT).toBe(2)
    expect(told('reloaded')).toBe(2)
    await writeFile(configFile, JSON.stringify(config))
  })

  test('have commands beside them, and no other server', async () => {
    await proxy.registry.pushImage('beside/app', '1')
    const run = (...args: string[]) => {
      const at = ['--config', proxy.crossdock.configFile, '--data', proxy.data]
      return runCommand(process.execPath, [`${ROOT}/src/main.ts`, ...args, ...at])
    }

    const staged = await run('stage', 'origin/beside/app:1')
    expect(staged.stderr).not.toMatch(/crossdock: /)
    expect(staged.status).toBe(0)
    await pull(proxy.base, 'beside/app', '1')
    expect((await run('list')).stdout).toMatch(/beside\/app/)
    expect((await run('gc')).status).toBe(0)

    const second = await run('serve', '--listen', '127.0.0.1:0', '--admin', 'off')
    expect(second.status).toBe(1)
    expect(second.stderr).toContain('another crossdock server already uses the data folder')
  })

  test.each([0, 1])(
    'serve who pulls from the other when one is killed, and soon are two again (%i)',
    async (which) => {
      const name = `killed/${which}`
      const image = await proxy.registry.pushImage(name, '1', { layers: [{ size: 2 * MIB }] })
      const [layer] = image.layers
      if (layer === undefined) throw new Error('there is one')
      const gate = Promise.withResolvers<void>()
      const half = { gateAfter: MIB, gate: () => gate.promise, times: 1 }
      proxy.registry.fault({ blob: layer.digest }, half)
      const pulling = Array.from({ length: 8 }, () =>
        pull(proxy.base, name, '1').then(
          () => 'served',
          (error: unknown) => {
            if (error instanceof RefusedError) return 'cut'
            throw error
          },
        ),
      )
      await expect.poll(() => gets(layer.digest), WAIT).toBe(1)
      await expect.poll(() => waiters(proxy, layer.digest), WAIT).toBe(pulling.length)
      const deaths = await metric('crossdock_worker_deaths_total')
      const requests = await metric('crossdock_requests_total')

      process.kill(Number((await workersOf(proxy))[which]), 'SIGKILL')
      await expect.poll(() => metric('crossdock_worker_deaths_total'), WAIT).toBe(deaths + 1)
      gate.resolve()
      const outcomes = await Promise.all(pulling)

      expect(outcomes.filter((one) => one === 'served').length).toBeGreaterThan(0)
      expect(gets(layer.digest)).toBeLessThanOrEqual(2)
      await expect.poll(() => metric('crossdock_workers'), WAIT).toBe(2)
      expect(await metric('crossdock_requests_total')).toBeGreaterThanOrEqual(requests)
      expect(await pull(proxy.base, name, '1')).toMatchObject({ digest: image.digest })
    },
  )
})

describe.skipIf(isSkipped)('a worker that dies', () => {
  test('leaves no client waiting that was just handed to it', async () => {
    await using proxy = await start()
    const [one = ''] = await workersOf(proxy)
    process.kill(Number(one), 'SIGSTOP')
    const asked = Array.from({ length: 4 }, () => ask(`${proxy.crossdock.url}/healthz`))
    const answered = () => Promise.all(asked.map((each) => Promise.race([each, undefined])))
    await expect
      .poll(async () => (await answered()).filter((each) => each?.status === 200).length, WAIT)
      .toBe(3)

    process.kill(Number(one), 'SIGKILL')

    expect((await Promise.all(asked)).map(({ status }) => status).toSorted()).toEqual([
      0, 200, 200, 200,
    ])
  })

  test('leaves its work to the others at once, whoever waits for it', async () => {
    await using proxy = await start()
    const image = await proxy.registry.pushImage('left/app', '1', { layers: [{ size: 2 * MIB }] })
    const [layer] = image.layers
    const blob = layer?.digest ?? ''
    const gate = new Promise<void>(() => undefined)
    proxy.registry.fault({ blob }, { gateAfter: MIB, gate: () => gate, times: 1 })
    const pulling = Array.from({ length: 8 }, () =>
      pull(proxy.base, 'left/app', '1').catch((error: unknown) => error),
    )
    await expect.poll(() => waiters(proxy, blob), WAIT).toBe(pulling.length)
    const holder = await holderOf(proxy, `blob origin ${blob}`)
    const pids = await workersOf(proxy)

    const began = performance.now()
    process.kill(Number(pids[holder - 1]), 'SIGKILL')
    const pulled = (await Promise.all(pulling)).filter((one) => !(one instanceof Error))

    expect(pulled.length).toBeGreaterThan(0)
    // The lease would have lasted for four seconds yet, at least.
    expect(performance.now() - began).toBeLessThan(3_500)
  })
})

describe.skipIf(isSkipped)('two workers at their end', () => {
  test('finish what is under way on SIGTERM, whoever of them gets it too, and leave nothing', async () => {
    await using proxy = await start()
    const image = await proxy.registry.pushImage('last/app', '1', { layers: [{ size: 300_000 }] })
    const [layer] = image.layers
    const hold = proxy.registry.hold(
      { blob: layer?.digest ?? '', method: 'GET' },
      { afterBytes: 100_000 },
    )
    const pulling = [1, 2, 3, 4].map(() => pull(proxy.base, 'last/app', '1'))
    for (const one of pulling) one.catch(() => undefined)
    await hold.reached
    await expect.poll(() => waiters(proxy, layer?.digest ?? ''), WAIT).toBe(pulling.length)
    const children = await workersOf(proxy)

    // As a terminal does it, and systemd.
    for (const one of children) process.kill(Number(one), 'SIGTERM')
    const stopped = proxy.crossdock.stop()
    await expect.poll(() => proxy.crossdock.output(), WAIT).toContain('"event":"draining"')
    hold.release()

    for (const { digest } of await Promise.all(pulling)) expect(digest).toBe(image.digest)
    expect(await stopped).toBe(0)
    expect((await ask(`${proxy.base}/`)).status).toBe(0)
    expect(children.filter(isAlive)).toEqual([])
  })

  test('begin again with a new file when the one by which they agree is damaged', async () => {
    // Port 0 would be another one when all have ended.
    const address = `127.0.0.1:${await freePort()}`
    await using proxy = await start({ listen: [{ address }] })
    let tag = 0
    const coldPull = async () => {
      tag += 1
      await proxy.registry.pushImage('rot/app', `${tag}`, { layers: [{ size: 10_000 }] })
      return await pull(proxy.base, 'rot/app', `${tag}`).then(() => 'served', String)
    }
    expect(await coldPull()).toBe('served')
    const children = await workersOf(proxy)
    const file = join(proxy.data, 'coordination.sqlite')

    for (const one of [file, `${file}-wal`]) await writeFile(one, Buffer.alloc(65_536, 0x5a))

    const damaged = () => [...proxy.crossdock.output().matchAll(/"event":"coordination_damaged"/g)]
    const pulledUntilTold = async () => [await coldPull(), damaged().length]
    await expect.poll(pulledUntilTold, WAIT).toEqual(['served', 1])
    await expect.poll(() => children.filter(isAlive), WAIT).toEqual([])
    expect(damaged()).toHaveLength(1)

    await proxy.stop('SIGTERM')
    await writeFile(file, Buffer.alloc(65_536, 0x5a))
    await proxy.start()
    expect(await coldPull()).toBe('served')
  })

  test('end when their supervisor is killed, so that the next server is alone', async () => {
    await using proxy = await start()
    const children = await workersOf(proxy)

    await proxy.restart('SIGKILL')

    await expect.poll(() => children.filter(isAlive), WAIT).toEqual([])
    expect(await proxy.crossdock.metric('crossdock_workers')).toBe(2)
  })
})

/** Clients that wait for a blob that is under way; the worker that follows another one's download waits there as well. */
async function waiters({ crossdock }: TestProxy, digest: string): Promise<number> {
  const answer = await fetch(`${crossdock.adminUrl}/api/state`)
  const { downloads } = ((await answer.json()) as Told).work
  const of = downloads.filter((one) => one.digest === digest)
  const followers = Math.max(0, of.length - 1)
  return of.reduce((sum, { waiting }) => sum + waiting.count, 0) - followers
}

/** Number of the worker that has the lease. */
async function holderOf({ data }: TestProxy, lease: string): Promise<number> {
  using file = Coordination.open(join(data, 'coordination.sqlite'))
  const row = file.get('SELECT holder FROM leases WHERE name = ?', lease)
  return Number(textIn(row ?? {}, 'holder').split('.')[1])
}

async function workersOf({ crossdock: { pid } }: TestProxy): Promise<readonly string[]> {
  return (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ')
}

function isAlive(pid: string): boolean {
  try {
    process.kill(Number(pid), 0)
    return true
  } catch {
    return false
  }
}
