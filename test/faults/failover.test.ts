/** Three servers whose PostgreSQL dies for good: a standby is promoted, and the address leads there. */
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Client, loadDriver } from '../../src/store/postgres/driver.ts'
import { ask } from '../helpers/faults-http.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { bytesOf, crowd } from '../helpers/pulling-crowd.ts'
import type { PostgresServer } from '../helpers/postgres-server.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'

const FORMS = ['1', '1-zstd']

/** Servers, two of PostgreSQL, and much else to do. */
const LONG_MS = 300_000

let count = 0

describe.skipIf(!hasSharedPair)('three servers whose PostgreSQL fails over', () => {
  let replicas: Replicas
  let standby: PostgresServer
  beforeEach(async () => {
    replicas = await Replicas.start()
    count += 1
    standby = await replicas.postgres.standby(
      join(tmpdir(), `crossdock-standby-${process.pid}-${count}`),
    )
  }, LONG_MS)
  afterEach(async () => {
    // Not in order: what they would say to PostgreSQL, nobody hears.
    await Promise.all(replicas.all.map(({ proxy }) => proxy.stop('SIGKILL')))
    await standby?.[Symbol.asyncDispose]()
    await replicas?.[Symbol.asyncDispose]()
  }, LONG_MS)

  const turnTo = ({ port }: PostgresServer) => {
    for (const { postgres } of replicas.all) postgres.turnTo(port)
  }
  const blobsFetched = (names: readonly string[]) =>
    names
      .map((name) => replicas.registry.count({ name, kind: 'blob', method: 'GET' }))
      .reduce((sum, one) => sum + one, 0)

  test(
    'lose nothing when the standby had it all, and everybody is served or told',
    async () => {
      await beSynchronous(replicas.postgres)
      const names = Array.from({ length: 6 }, (_, i) => `whole/${i}`)
      for (const name of names) await push(name)
      const wanted = names.flatMap((name) => FORMS.map((form) => [name, form] as const))
      const pulling = crowd(() => replicas.base, wanted, 4)
      const moreServed = async (more: number) => {
        const enough = pulling.served + more
        await expect.poll(() => pulling.served, { timeout: 90_000 }).toBeGreaterThan(enough)
      }
      await moreServed(8)

      await replicas.postgres.stop('immediate')
      await standby.promote()
      turnTo(standby)
      await moreServed(16)

      const { images } = await pulling.end()
      const before = blobsFetched(names)
      for (const [key, image] of images) {
        const [name = '', form = ''] = key.split(':')
        for (const { proxy } of replicas.all) {
          expect(bytesOf(await pull(proxy.base, name, form))).toEqual(image)
        }
      }
      expect(blobsFetched(names)).toBe(before)
    },
    LONG_MS,
  )

  test(
    'serve all images with the same bytes when the standby lacked the last transactions, and after a start without any upstream',
    async () => {
      await push('early/app')
      const early = await pullEverywhere('early/app')
      await untilReplayed(replicas.postgres)
      await standby.stop()
      const late = new Map<string, readonly PulledImage[]>()
      for (const name of ['late/one', 'late/two', 'late/three']) {
        await push(name)
        late.set(name, await pullEverywhere(name))
      }
      const tokens = await tokensOf(replicas.postgres)
      await replicas.postgres.stop('immediate')
      await standby.start()

      turnTo(standby)
      const [first] = replicas.all
      const readiness = async () => {
        const answer = await ask(`${first?.proxy.crossdock.url}/readyz`)
        return `${answer.status} ${answer.bytes}`
      }
      await expect
        .poll(readiness, { timeout: 20_000 })
        .toMatch(/503 .*it is a standby, which only reads; let store.catalog name the primary/)
      await standby.promote()
      await expect.poll(readiness, { timeout: 20_000 }).toMatch(/^200 /)

      const known = ['early/app', ...late.keys()]
      const before = blobsFetched(known)
      // Repositories that come first get the numbers that come next.
      await push('next/app')
      await pull(replicas.all[2]?.proxy.base ?? '', 'next/app', '1')
      expect(await pullEverywhere('early/app')).toEqual(early)
      for (const [name, images] of late) {
        for (const image of images) {
          for (const { proxy } of replicas.all) {
            expect(bytesOf(await pull(proxy.base, name, image.digest))).toEqual(bytesOf(image))
          }
        }
        const [layer] = images[0]?.layers ?? []
        const foreign = await ask(`${first?.proxy.base}/next/app/blobs/${layer?.digest}`)
        expect(foreign.status).toBe(404)
      }
      // What was lost of tags and conversions comes with the next server that starts, without anybody's help.
      await first?.proxy.restart()
      replicas.registry.fault({}, { status: 503 })
      for (const [name, images] of late) expect(await pullEverywhere(name)).toEqual(images)
      expect(blobsFetched(known)).toBe(before)
      for (const [name, token] of await tokensOf(standby)) {
        expect(token).toBeGreaterThanOrEqual(tokens.get(name) ?? 0)
      }
    },
    LONG_MS,
  )

  async function push(name: string): Promise<void> {
    await replicas.registry.pushImage(name, '1', { layers: [{ size: 100_000 }, { size: 3_000 }] })
  }

  /** In each form, the same from all servers. */
  async function pullEverywhere(name: string): Promise<readonly PulledImage[]> {
    const images: PulledImage[] = []
    for (const form of FORMS) {
      const all: PulledImage[] = []
      for (const { proxy } of replicas.all) all.push(await pull(proxy.base, name, form))
      for (const one of all) expect(bytesOf(one)).toEqual(bytesOf(all[0] ?? one))
      for (const one of all.slice(0, 1)) images.push({ ...one, conversion: undefined })
    }
    return images
  }
})

async function asked<T>(server: PostgresServer, work: (client: Client) => Promise<T>): Promise<T> {
  const driver = await loadDriver()
  const client = await driver.connect({ connectionString: server.url('postgres') })
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** Nothing is acknowledged from now on that the standby has not got. */
async function beSynchronous(server: PostgresServer): Promise<void> {
  await asked(server, async (client) => {
    await client.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
    await client.query('SELECT pg_reload_conf()')
    const state = async () =>
      (await client.query('SELECT sync_state FROM pg_stat_replication')).rows
    await expect.poll(state, { timeout: 20_000 }).toEqual([{ sync_state: 'sync' }])
  })
}

async function untilReplayed(server: PostgresServer): Promise<void> {
  await asked(server, async (client) => {
    const { rows } = await client.query<{ here: string }>('SELECT pg_current_wal_lsn() AS here')
    const text = 'SELECT replay_lsn >= $1::pg_lsn AS is_there FROM pg_stat_replication'
    const there = async () => (await client.query(text, [rows[0]?.here])).rows
    await expect.poll(there, { timeout: 20_000 }).toEqual([{ is_there: true }])
  })
}

async function tokensOf(server: PostgresServer): Promise<ReadonlyMap<string, number>> {
  return await asked(server, async (client) => {
    const text = 'SELECT name, token FROM crossdock.leases'
    const { rows } = await client.query<{ name: string; token: number }>(text)
    return new Map(rows.map(({ name, token }) => [name, token]))
  })
}
