import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { HeldLease } from '../../src/store/held-lease.ts'
import type { PostgresCatalog } from '../../src/store/postgres/catalog.ts'
import type { Limits } from '../../src/store/postgres/database.ts'
import { openPostgresCatalog, openPostgresCoordination } from '../../src/store/postgres/open.ts'
import { digest, image } from '../contract/catalog.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { type TcpSwitch, tcpSwitch } from '../helpers/tcp-switch.ts'

const NAME = { upstream: 'docker.io', name: 'library/alpine' }
const HURRIED: Partial<Limits> = { patienceMs: 500, connectMs: 500, answerMs: 1_000 }

describe.skipIf(!hasPostgres)('a catalog whose PostgreSQL comes and goes', () => {
  let folder: string
  let server: PostgresServer
  let front: TcpSwitch
  const url = () => server.url('postgres').replace(`:${server.port}/`, `:${front.port}/`)
  const open = (limits?: Partial<Limits>) =>
    openPostgresCatalog({ url: url(), clock: systemClock, ...(limits && { limits }) })
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-postgres-faults-'))
    await rm(folder, { recursive: true })
    server = await startPostgres(folder)
    front = await tcpSwitch(server.port)
  })
  afterAll(async () => {
    await front[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  it.each(['fast', 'immediate'] as const)(
    'waits for one that restarts (%s), and has lost nothing that was acknowledged',
    async (mode) => {
      await using catalog = await open({ patienceMs: 30_000 })
      const written: string[] = []
      let isOver = false
      const write = async (writer: number) => {
        for (let i = 0; !isOver; i += 1) {
          const source = `${mode} ${writer} ${i}`
          await catalog.publish(image(source, `${source} target`))
          written.push(source)
        }
      }
      const writers = Promise.all([0, 1, 2].map(write))

      for (let round = 0; round < 2; round += 1) {
        await until(() => written.length > (round + 1) * 20)
        await server.stop(mode)
        await server.start()
      }
      const before = written.length
      await until(() => written.length > before + 10)
      isOver = true
      await writers

      for (const source of written) {
        const made = await catalog.conversions.listImages({ source: digest(source) })
        expect(made.map(({ target }) => target)).toEqual([digest(`${source} target`)])
      }
    },
  )

  it('gives remembered answers at once while it is away, and says when to come again for others', async () => {
    await using catalog = await open(HURRIED)
    await catalog.tags.record(NAME, 'known', { digest: digest('a'), checkedAt: 1 })
    const made = image('known', 'known target')
    await catalog.publish(made)
    expect(await catalog.conversions.findImage(made)).toBeDefined()

    await server.stop('fast')
    try {
      await catalog.tags.find(NAME, 'known')
      expect((await catalog.conversions.findImage(made))?.target).toBe(made.target)
      for (const each of ['known target', 'known target layer']) {
        expect((await catalog.links.find(made.repository, digest(each)))?.standing).toBe('made')
      }
      const began = performance.now()
      for (let i = 0; i < 100; i += 1) await catalog.tags.find(NAME, 'known')
      expect(performance.now() - began).toBeLessThan(1_000)
      await expect(catalog.tags.find(NAME, 'other')).rejects.toMatchObject({
        ...{ kind: 'overloaded', reason: 'postgres-away', retryAfter: 5 },
        message: expect.stringMatching(/PostgreSQL does not answer/),
      })
      await expect(catalog.check()).rejects.toMatchObject({ kind: 'overloaded' })
      catalog.usage.touch(digest('a'), 7)
      await expect(catalog.usage.flush()).rejects.toMatchObject({ kind: 'overloaded' })
    } finally {
      await server.start()
    }

    await until(async () => await succeeds(catalog.check()))
    await catalog.tags.record(NAME, 'known', { digest: digest('b'), checkedAt: 2 })
    expect((await catalog.tags.find(NAME, 'known'))?.digest).toBe(digest('b'))
    await catalog.usage.flush()
    expect(await catalog.usage.find(digest('a'))).toBe(7)
  })

  it('does the same behind a partition, after the time that an answer may take', async () => {
    await using catalog = await open(HURRIED)
    await using coordination = await openPostgresCoordination({ url: url(), clock: systemClock })
    const held = await HeldLease.take(coordination.leases, systemClock, 'cut off', 1_500)
    await catalog.tags.find(NAME, 'known')

    front.partition()
    try {
      const began = performance.now()
      expect((await catalog.tags.find(NAME, 'known'))?.digest).toBe(digest('b'))
      expect(performance.now() - began).toBeLessThan(4_000)
      await until(() => held?.signal.aborted === true)
    } finally {
      front.turnTo(server.port)
    }

    await until(async () => await succeeds(catalog.check()))
    await coordination.leases.untilFree('cut off', AbortSignal.timeout(20_000))
    const next = await coordination.leases.acquire('cut off', 1_000)
    expect(next?.token).toBeGreaterThan(held?.lease.token ?? Number.POSITIVE_INFINITY)
    await held?.[Symbol.asyncDispose]()
  })

  it('finds a holder that was stopped and wakes up stale, and tells it so', async () => {
    await using coordination = await openPostgresCoordination({ url: url(), clock: systemClock })
    const { leases } = coordination
    const child = join(import.meta.dirname, '../helpers/lease-child.ts')
    const holder = spawn(process.execPath, [child, url(), 'slept', '1500'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface(holder.stdout)[Symbol.asyncIterator]()
    const token = Number((await lines.next()).value?.split(' ')[1])
    expect(await leases.acquire('slept', 60_000)).toBeUndefined()

    holder.kill('SIGSTOP')
    await leases.untilFree('slept', AbortSignal.timeout(20_000))
    const next = await leases.acquire('slept', 60_000)
    holder.kill('SIGCONT')

    expect((await lines.next()).value).toBe('lost')
    expect(next?.token).toBeGreaterThan(token)
    expect(await leases.isCurrent('slept', token)).toBe(false)
    expect(await leases.isCurrent('slept', next?.token ?? 0)).toBe(true)
    holder.kill('SIGKILL')
    await once(holder, 'exit')
  })

  it('follows an address to a standby that was promoted, and not before', async () => {
    const standby = await server.standby(`${folder}-standby`)
    try {
      await using catalog = await open({ ...HURRIED, patienceMs: 1_000 })
      await using coordination = await openPostgresCoordination({ url: url(), clock: systemClock })
      const before = await coordination.leases.acquire('moved', 1_000)
      await catalog.tags.record(NAME, 'moved', { digest: digest('a'), checkedAt: 1 })
      await catalog.tags.find(NAME, 'moved')

      front.turnTo(standby.port)
      await expect(record(catalog, 'b')).rejects.toMatchObject({
        ...{ kind: 'overloaded', reason: 'postgres-standby' },
        message: expect.stringMatching(/let store.catalog name the primary/),
      })
      expect((await catalog.tags.find(NAME, 'moved'))?.digest).toBe(digest('a'))
      await server.stop('immediate')
      await standby.promote()

      await until(async () => await succeeds(record(catalog, 'c')))
      expect((await catalog.tags.find(NAME, 'moved'))?.digest).toBe(digest('c'))
      await coordination.leases.untilFree('moved', AbortSignal.timeout(10_000))
      const after = await coordination.leases.acquire('moved', 1_000)
      expect(after?.token).toBeGreaterThan(before?.token ?? Number.POSITIVE_INFINITY)
    } finally {
      await standby[Symbol.asyncDispose]()
    }
  })
})

async function record(catalog: PostgresCatalog, text: string): Promise<void> {
  await catalog.tags.record(NAME, 'moved', { digest: digest(text), checkedAt: 2 })
}

async function succeeds(work: Promise<unknown>): Promise<boolean> {
  return await work.then(
    () => true,
    () => false,
  )
}

/** What other processes do is looked for; nothing here is told of it. */
async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await systemClock.sleep(20)
}
