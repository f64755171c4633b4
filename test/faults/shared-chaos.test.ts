/** Three servers on one store while they, PostgreSQL, S3 and the network between them fail: no wrong byte, and nothing lost that was acknowledged. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { pull } from '../helpers/faults-puller.ts'
import { bytesOf, type Crowd, crowd, type Outcomes } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'
import { digestsOnS3 } from '../helpers/s3-store.ts'
import type { S3Fault, SeenRequest } from '../helpers/s3-wire.ts'

const PULLERS = 4

/** Six servers are started, one after the other, on a machine that has much to do. */
const ROLL_OVER_MS = 300_000

const FORMS = ['1', '1-zstd']

/** Another set of images for each test: cold at its beginning. */
let round = 0

type FaultOf = (request: SeenRequest, turn: number) => S3Fault | undefined

const SLOW_DOWN: S3Fault = { kind: 'status', status: 503, code: 'SlowDown' }

const TROUBLES: readonly (readonly [string, FaultOf])[] = [
  ['is a storm of 503', (_, turn) => (turn % 3 > 0 ? SLOW_DOWN : undefined)],
  ['refuses connections', () => ({ kind: 'reset' })],
  [
    'gives wrong bytes',
    ({ method, path }) =>
      method === 'GET' && path.includes('/blobs/') ? { kind: 'flip', at: 1_000 } : undefined,
  ],
  [
    'has half of an upload',
    ({ method, path }, turn) =>
      method === 'PUT' && path.includes('/blobs/') && turn % 2 === 0 ? { kind: 'hold' } : undefined,
  ],
]

describe.skipIf(!hasSharedPair)('three servers on one store', () => {
  let origin: FakeRegistry
  let replicas: Replicas
  beforeAll(async () => {
    origin = await FakeRegistry.start()
    replicas = await Replicas.start({ registry: origin })
  })
  afterEach(() => {
    for (const replica of replicas?.all ?? []) replica.s3.fault = () => undefined
  })
  afterAll(async () => {
    await replicas?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  const begin = async (): Promise<Crowd> => {
    round += 1
    const names = Array.from({ length: 6 }, (_, i) => `chaos/${round}-${i}`)
    for (const name of names) {
      await origin.pushImage(name, '1', { layers: [{ size: 200_000 }, { size: 3_000 }] })
    }
    const wanted = names.flatMap((name) => FORMS.map((form) => [name, form] as const))
    return crowd(() => replicas.base, wanted, PULLERS)
  }

  /** Everything that anybody was ever served is served again, by each server, with the same bytes. */
  const expectNothingLost = async ({ served, images }: Outcomes) => {
    expect(served).toBeGreaterThan(0)
    for (const [key, image] of images) {
      const [name = '', form = ''] = key.split(':')
      for (const { proxy } of replicas.inTurn) {
        expect(bytesOf(await pull(proxy.base, name, form))).toEqual(image)
      }
    }
    for (const [key, digest] of await digestsOnS3(replicas.place, 'blobs/')) {
      expect(key).toBe(`blobs/${digest.replace(':', '/')}`)
    }
  }

  test('lose nothing when each of them is killed in turns', async () => {
    const pulling = await begin()

    for (const { proxy } of replicas.all) {
      await moreServed(pulling, 2)
      await proxy.restart('SIGKILL')
    }
    await moreServed(pulling, 12)

    await expectNothingLost(await pulling.end())
  })

  test('lose nothing when PostgreSQL restarts and crashes', async () => {
    const pulling = await begin()

    for (const mode of ['fast', 'immediate'] as const) {
      await moreServed(pulling, 2)
      await replicas.postgres.stop(mode)
      await sleep(1_000)
      await replicas.postgres.start()
    }
    await moreServed(pulling, 12)

    await expectNothingLost(await pulling.end())
  })

  test.each(TROUBLES)('lose nothing while S3 %s', async (_, faultOf) => {
    let turn = 0
    for (const { s3 } of replicas.all) {
      s3.fault = (request) => {
        turn += 1
        return faultOf(request, turn)
      }
    }
    const pulling = await begin()
    await sleep(5_000)

    for (const { s3 } of replicas.all) s3.fault = () => undefined
    await moreServed(pulling, 12)

    await expectNothingLost(await pulling.end())
  })

  test('lose nothing when one of them is cut off from the others and comes back', async () => {
    const [alone] = replicas.all
    if (alone === undefined) throw new Error('no replica')
    const pulling = await begin()
    await moreServed(pulling, 2)

    replicas.cutOff(alone)
    await sleep(8_000)
    replicas.reconnect(alone)
    await moreServed(pulling, 12)

    await expectNothingLost(await pulling.end())
  })

  test(
    'are replaced by newer ones and back under load, and nobody hears of it',
    async () => {
      const pulling = await begin()
      await moreServed(pulling, 12)
      const before = [...replicas.inTurn]

      const newer = await rollOver(replicas, before)
      await moreServed(pulling, 4)
      await rollOver(replicas, newer)
      await moreServed(pulling, 4)

      const outcomes = await pulling.end()
      expect(outcomes.told).toEqual([])
      await expectNothingLost(outcomes)
    },
    ROLL_OVER_MS,
  )
})

describe.skipIf(!hasSharedPair)('servers whose clocks are ten minutes apart', () => {
  test('agree on what was used lately, and on whose turn it is', async () => {
    const ahead = [0, 600_000, -600_000]
    await using replicas = await Replicas.start({
      faults: (i) => ({ clock: ahead[i] ?? 0 }),
      // Whatever is not in use goes at once.
      config: { cache: { tagWindow: '1d', maxSize: 1, lease: '5m' } },
    })
    for (const [i, { proxy }] of replicas.all.entries()) {
      await replicas.registry.pushImage(`clocks/${i}`, '1', { layers: [{ size: 100_000 }] })
      await pull(proxy.base, `clocks/${i}`, '1-zstd')
    }
    const lists = () => sumOf(replicas, 'GET', (path) => !path.includes('/blobs/'))
    const listed = lists()
    await expect.poll(lists, { timeout: 20_000 }).toBeGreaterThan(listed)
    await sleep(2_000)

    expect(sumOf(replicas, 'DELETE', (path) => path.includes('/blobs/'))).toBe(0)
    for (const { proxy } of replicas.all) {
      for (const i of replicas.all.keys()) await pull(proxy.base, `clocks/${i}`, '1-zstd')
    }
  })
})

async function moreServed(pulling: Crowd, more: number): Promise<void> {
  const wanted = pulling.served + more
  await expect.poll(() => pulling.served, { timeout: 90_000 }).toBeGreaterThanOrEqual(wanted)
}

/** One more for each that ends, as an orchestrator does it: first it is taken out of the turn, then it drains. */
async function rollOver(replicas: Replicas, old: readonly Replica[]): Promise<readonly Replica[]> {
  const newer: Replica[] = []
  for (const replica of old) {
    newer.push(await replicas.add())
    replica.isInTurn = false
    expect(await replica.proxy.stop('SIGTERM')).toBe(0)
  }
  return newer
}

function sumOf(replicas: Replicas, method: string, isIt: (path: string) => boolean): number {
  const seen = replicas.all.flatMap(({ s3 }) => s3.seen)
  return seen.filter((one) => one.method === method && isIt(one.path)).length
}
