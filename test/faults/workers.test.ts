/** kill -9 of one of two workers, at steps of a pull and at any moment under load: who pulls from the other one notices nothing. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull, RefusedError } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'

const SIZE = 400_000
const FORMS = ['1', '1-zstd', '1-estargz'] as const
const PULLERS = 6
const WAIT = { timeout: 60_000, interval: 20 }
/** A puller that is cut tries again, as clients do; by then somebody else has taken over. */
const TRIES = 20
const PAUSE_MS = 100

const isSkipped = isEmbeddedOnly('workers share one disk; on S3 there are several servers instead')

let origin: FakeRegistry
beforeAll(async () => {
  origin = await FakeRegistry.start()
})
afterAll(async () => await origin?.[Symbol.asyncDispose]())

/** One after the other of those steps that a pull of both kinds takes. */
function stepsFor(dice: Dice): readonly Failpoint[] {
  const some = (op: Failpoint['op'], below: number, when: Failpoint['when'] = 'before') =>
    ({ op, when, path: '', nth: 1 + dice.int(below), act: 'kill' }) as const
  return dice
    .shuffled([
      some('write', 8),
      some('rename', 4),
      some('rename', 4, 'after'),
      some('sync', 6),
      some('commit', 10),
      some('encode', 3),
    ])
    .slice(0, roundsOf(3))
}

describe.skipIf(isSkipped)('a worker', () => {
  const dice = new Dice(seedOf('workers'))

  test.each(stepsFor(dice).map((step) => ({ step, text: `${step.when} ${step.op} ${step.nth}` })))(
    'that dies $text leaves its pullers another try, and nobody else anything to notice',
    async ({ step }) => {
      await using proxy = await start({ points: [step], armedLater: true })
      const [armed = 0] = await workersOf(proxy)
      process.kill(armed, 'SIGWINCH')
      await expect.poll(() => proxy.crossdock.output(), WAIT).toContain('faults are armed')

      // It may be that the other one does all of the work.
      for (let i = 0; i < 10 && deathsIn(proxy) === 0; i += 1) {
        const name = `step/${step.op}/${step.when}/${i}`
        await origin.pushImage(name, '1', { layers: [{ size: SIZE }, { size: 5_000 }] })
        await pullAll(proxy, name)
      }

      expect(deathsIn(proxy)).toBe(1)
      await endsSound(proxy)
    },
    patienceOf(120_000),
  )

  test(
    'that is killed at any moment under load takes nothing but its own connections with it',
    async () => {
      await using proxy = await start()
      const rounds = roundsOf(4)
      let requests = 0
      for (let round = 0; round < rounds; round += 1) {
        const name = `load/${round}`
        await origin.pushImage(name, '1', { layers: [{ size: SIZE }, { size: SIZE / 2 }] })
        await expect.poll(async () => (await workersOf(proxy)).length, WAIT).toBe(2)
        await expect.poll(() => proxy.crossdock.metric('crossdock_workers'), WAIT).toBe(2)
        const pulling = pullAll(proxy, name)
        await sleep(dice.int(600))
        process.kill(dice.pick(await workersOf(proxy)), 'SIGKILL')
        await pulling
        // What is counted never falls: a scraper would take that for a new start.
        requests = await counted(proxy, requests)
      }
      await expect.poll(() => deathsIn(proxy), WAIT).toBe(rounds)
      await endsSound(proxy)
    },
    patienceOf(180_000),
  )
})

const start = (faults?: Parameters<TestProxy['start']>[1]) =>
  TestProxy.start({
    registry: origin,
    config: {
      workers: 2,
      shutdownGrace: '30s',
      limits: { retries: 0, connections: 1_000, clientConnections: 1_000 },
    },
    ...(faults && { faults }),
  })

/** By so many at once, each until it is served; all who ask for one form get the same. */
async function pullAll(proxy: TestProxy, name: string): Promise<void> {
  const pulled = await Promise.all(
    Array.from({ length: PULLERS }, async (_, i) => {
      const form = FORMS[i % FORMS.length] ?? '1'
      return { form, image: await pullPatiently(proxy, name, form) }
    }),
  )
  for (const form of FORMS) {
    const same = pulled.filter((one) => one.form === form).map(({ image }) => image.digest)
    expect(new Set(same).size).toBe(1)
  }
}

/** Wrong bytes are no refusal, and thrown. */
async function pullPatiently(
  { base }: TestProxy,
  name: string,
  form: string,
): Promise<PulledImage> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await pull(base, name, form)
    } catch (error) {
      if (!(error instanceof RefusedError) || tries === TRIES) throw error
      await sleep(PAUSE_MS)
    }
  }
}

/** Nobody was refused or cut but by the death itself, all come to their end in order, and what they leave is sound. */
async function endsSound(proxy: TestProxy): Promise<void> {
  await expect.poll(() => proxy.crossdock.metric('crossdock_workers'), WAIT).toBe(2)
  const hurt = proxy.crossdock.requests().filter(({ status, cut }) => status >= 500 || cut)
  expect(hurt).toEqual([])
  expect(await proxy.crossdock.stop()).toBe(0)
  expect((await fsck(proxy.data)).problems).toEqual([])
}

/** Requests so far, never fewer than before. The connection that is kept may have been the dead worker's. */
async function counted({ crossdock }: TestProxy, before: number): Promise<number> {
  let now = 0
  const look = async () => {
    now = await crossdock.metric('crossdock_requests_total')
    return true
  }
  await expect.poll(look, WAIT).toBe(true)
  expect(now).toBeGreaterThanOrEqual(before)
  return now
}

function deathsIn({ crossdock }: TestProxy): number {
  return crossdock.output().split('"event":"worker_died"').length - 1
}

async function workersOf({ crossdock: { pid } }: TestProxy): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  return children.trim().split(' ').filter(Boolean).map(Number)
}
