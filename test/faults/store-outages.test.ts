/** What an operator sees while PostgreSQL or S3 is away: a line at the beginning and one at the end, metrics, and a dashboard that says it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { pull } from '../helpers/faults-puller.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, freshPlace, hasS3 } from '../helpers/s3-store.ts'
import { type S3Fault, S3Wire } from '../helpers/s3-wire.ts'

interface Line {
  readonly event: string
  readonly level: string
  readonly part?: string
  readonly seconds?: number
  readonly msg: string
}

describe.skipIf(!hasPostgres || !hasS3)('a server on PostgreSQL and S3', () => {
  let origin: FakeRegistry
  let postgres: PostgresServer
  let wire: S3Wire
  let proxy: TestProxy
  const lines = (): readonly Line[] =>
    proxy.crossdock
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Line)
  const ofStore = () => lines().filter(({ event }) => event.startsWith('store_'))
  const readiness = async () => (await ask(`${proxy.crossdock.url}/readyz`)).status
  const reachable = (part: string) => proxy.crossdock.metric('crossdock_store_reachable', { part })
  const failures = (part: string) =>
    proxy.crossdock.metric('crossdock_store_failures_total', { part })
  /** The first of what is told without an end. */
  const told = async (path: string) => {
    const over = new AbortController()
    const { body } = await fetch(`${proxy.crossdock.adminUrl}${path}`, { signal: over.signal })
    let text = ''
    for await (const chunk of body ?? []) {
      text += Buffer.from(chunk).toString()
      if (text.includes('event: tasks')) break
    }
    over.abort()
    return text
  }
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-outages-'))
    await rm(folder, { recursive: true })
    postgres = await startPostgres(folder)
    const place = await freshPlace()
    wire = await S3Wire.start(place.endpoint ?? '')
    const blobs = blobsText({ ...place, endpoint: wire.url })
    proxy = await TestProxy.start({
      registry: origin,
      config: { store: { blobs, catalog: postgres.url('postgres') } },
      env: S3_CREDENTIALS,
    })
    await origin.pushImage('outage/warm', '1')
    await origin.pushImage('outage/cold', '1')
    await pull(proxy.base, 'outage/warm', '1')
  })
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await wire?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('says once that PostgreSQL is away and once that it is back, and metrics say it meanwhile', async () => {
    expect(await reachable('catalog')).toBe(1)
    const before = await failures('catalog')
    await postgres.stop('fast')
    try {
      const cold = () => ask(`${proxy.base}/outage/cold/manifests/1`)
      const answers = await Promise.all(Array.from({ length: 20 }, cold))
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503))
      expect(await reachable('catalog')).toBe(0)
      expect(await reachable('blobs')).toBe(1)
      expect(await failures('catalog')).toBeGreaterThan(before)
      expect(await readiness()).toBe(503)
      const state = await (await fetch(`${proxy.crossdock.adminUrl}/api/state`)).json()
      expect(state).toMatchObject({ outages: [{ part: 'catalog' }], upstreams: [{ health: 'up' }] })
      expect(state).toHaveProperty('traffic.totals.requests', expect.any(Number))
      expect(await told('/api/events')).toContain('event: traffic')
      const [away, ...more] = ofStore()
      expect(more).toEqual([])
      expect(away).toMatchObject({ event: 'store_away', level: 'error', part: 'catalog' })
      for (const words of ['does not answer', 'see whether it runs', 'served as before', '503']) {
        expect(away?.msg).toContain(words)
      }
    } finally {
      await postgres.start()
    }
    await expect.poll(() => ofStore().length, { timeout: 30_000 }).toBe(2)
    expect(ofStore()[1]).toMatchObject({ event: 'store_back', part: 'catalog' })
    expect(ofStore()[1]?.seconds).toBeGreaterThan(5)
    expect(await reachable('catalog')).toBe(1)
    expect(lines().filter(({ event }) => event === 'chore_failed')).toEqual([])
  })

  test.each<{ name: string; fault: S3Fault }>([
    { name: 'refuses', fault: { kind: 'reset' } },
    { name: 'is in a storm', fault: { kind: 'status', status: 503, code: 'SlowDown' } },
  ])('says once that S3 $name and once that it is back', async ({ fault }) => {
    const said = ofStore().length
    wire.fault = () => fault
    try {
      const cold = () => ask(`${proxy.base}/outage/cold/manifests/1`)
      const answers = await Promise.all(Array.from({ length: 20 }, cold))
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 503))
      expect(await reachable('blobs')).toBe(0)
      expect(await readiness()).toBe(503)
      const [away, ...more] = ofStore().slice(said)
      expect(more).toEqual([])
      expect(away).toMatchObject({ event: 'store_away', level: 'error', part: 'blobs' })
      expect(away?.msg).toContain('store.localCache')
      for (const path of ['/api/images', '/api/image?image=outage/warm:1', '/api/store']) {
        expect((await ask(`${proxy.crossdock.adminUrl}${path}`)).status).toBe(503)
      }
    } finally {
      wire.fault = () => undefined
    }
    await expect.poll(() => ofStore().length, { timeout: 30_000 }).toBe(said + 2)
    expect(ofStore().at(-1)).toMatchObject({ event: 'store_back', part: 'blobs' })
    expect(await reachable('blobs')).toBe(1)
  })

  test('says of an S3 that can be read and takes nothing that nothing new is stored', async () => {
    const said = ofStore().length
    wire.fault = ({ method }) =>
      method === 'PUT' || method === 'POST'
        ? { kind: 'status', status: 503, code: 'SlowDown' }
        : undefined
    await origin.pushImage('outage/new', '1')
    try {
      await expect(pull(proxy.base, 'outage/new', '1')).rejects.toThrow('503')
      await expect.poll(() => ofStore().length).toBe(said + 1)
      expect(await readiness()).toBe(200)
      expect(await reachable('blobs')).toBe(0)
      await pull(proxy.base, 'outage/warm', '1')
      const [away] = ofStore().slice(said)
      expect(away).toMatchObject({ event: 'store_away', part: 'blobs', fails: 'writes' })
      for (const words of ['nothing new is stored', '/readyz says 200']) {
        expect(away?.msg).toContain(words)
      }
    } finally {
      wire.fault = () => undefined
    }
    await pull(proxy.base, 'outage/new', '1')
    await expect.poll(() => ofStore().length, { timeout: 30_000 }).toBe(said + 2)
    expect(ofStore().at(-1)).toMatchObject({ event: 'store_back', part: 'blobs' })
    expect(await reachable('blobs')).toBe(1)
  })

  test('says so, too, of an S3 that takes everything and answers nothing', async () => {
    const said = ofStore().length
    wire.fault = () => ({ kind: 'delay', ms: 60_000 })
    expect(await readiness()).toBe(503)
    wire.fault = () => undefined
    expect(ofStore().slice(said)).toMatchObject([
      {
        event: 'store_away',
        part: 'blobs',
        msg: expect.stringContaining('does not answer in time'),
      },
    ])
    await expect.poll(() => ofStore().length, { timeout: 30_000 }).toBe(said + 2)
  })

  test('says nothing of the sort when it ends', async () => {
    const said = ofStore().length
    expect(await proxy.crossdock.stop()).toBe(0)
    expect(ofStore()).toHaveLength(said)
  })
})
