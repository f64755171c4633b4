/** Many clients, an upstream that breaks in every way, kills at random: nobody ever completes wrong bytes, nothing is lost. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { fakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { ask, open } from '../helpers/faults-http.ts'
import { PROFILES } from '../helpers/faults-profiles.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, PoisonError, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { anyFault } from '../helpers/faults-upstream.ts'

const IMPATIENT = {
  limits: { retries: 1, upstreamHeaders: '500ms', upstreamIdle: '500ms' },
  cache: { tagWindow: '0s' },
}

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterEach(() => origin.clearFaults())

afterAll(() => origin?.[Symbol.asyncDispose]())

describe('an upstream', () => {
  test(
    'that breaks in any way poisons nobody, and once it is well all is well',
    async () => {
      const dice = new Dice(seedOf('upstream faults'))
      await using proxy = await TestProxy.start({ registry: origin, config: IMPATIENT })
      const rounds = roundsOf(25)
      let refused = 0
      for (let round = 0; round < rounds; round++) {
        const name = `breaking/r${round}`
        const compression = dice.pick(['gzip', 'zstd', 'none'] as const)
        const image = await origin.pushImage(name, '1', {
          layers: [{ size: 200_000 }],
          compression,
        })
        const size = image.layers[0]?.bytes.byteLength ?? 0
        const fault = anyFault(dice, size)
        const target = dice.pick([
          { name },
          { name, kind: 'blob' as const },
          { name, kind: 'manifest' as const },
          { blob: image.layers[0]?.digest ?? '' },
          { blob: image.config.digest },
        ])
        const end = origin.fault(target, { ...fault, times: 1 + dice.int(4) })
        const tag = `1-${dice.pick(PROFILES)}`
        const tries = await Promise.all(
          Array.from({ length: 4 }, () =>
            pull(proxy.base, name, tag).catch((error: Error) => error),
          ),
        )
        for (const one of tries) {
          expect(one, JSON.stringify({ fault, tag })).not.toBeInstanceOf(PoisonError)
          if (one instanceof Error) refused += 1
        }
        end()
        // A breaker and the memory of failures last 5 s at most.
        await eventually(proxy, name, tag)
      }
      console.info(`${refused} of ${rounds * 4} pulls were refused`)
      await settles(proxy)
    },
    patienceOf(300_000),
  )

  test('whose tag alternates gives every puller one version', async () => {
    await using proxy = await TestProxy.start({ registry: origin, config: IMPATIENT })
    const versions: FakeImage[] = []
    for (let i = 0; i < 2; i++) versions.push(await origin.pushImage('moving/app', '1'))
    let turns = 0
    const pullers = Array.from({ length: 20 }, async () => {
      for (let i = 0; i < 5; i++) {
        turns += 1
        const version = versions[turns % 2]
        if (version !== undefined) origin.push('moving/app', '1', version)
        const image = await pull(proxy.base, 'moving/app', turns % 3 === 0 ? '1-zstd' : '1')
        expect(versions.map((one) => one.config.digest)).toContain(image.config)
      }
    })
    await Promise.all(pullers)
    await settles(proxy)
  })
})

describe('clients', () => {
  test('200 of them over all profiles cause one download of each blob', async () => {
    const layers = await Promise.all(Array.from({ length: 3 }, () => fakeLayer({ size: 300_000 })))
    const image = await origin.pushImage('crowd/app', '1', { layers })
    await using proxy = await TestProxy.start({ registry: origin })
    const hold = origin.hold({ blob: layers[0]?.digest ?? '', method: 'GET' })
    const pulls = Array.from({ length: 200 }, (_, i) =>
      pull(proxy.base, 'crowd/app', `1-${PROFILES[i % PROFILES.length]}`),
    )
    await hold.reached
    hold.release()
    const images = await Promise.all(pulls)
    expect(new Set(images.map((one) => one.digest)).size).toBe(PROFILES.length)
    for (const digest of [image.config.digest, ...layers.map((one) => one.digest)]) {
      expect(origin.count({ blob: digest, method: 'GET' })).toBe(1)
    }
    expect(await proxy.crossdock.metric('crossdock_layers_converted_total')).toBe(
      3 * (PROFILES.length - 1),
    )
    await settles(proxy)
  })

  test('that leave anywhere or stop reading hold up nobody and leave nothing behind', async () => {
    const dice = new Dice(seedOf('clients that leave'))
    const image = await origin.pushImage('leavers/app', '1', {
      layers: [{ size: 8_000_000, compression: 'none' }],
    })
    const digest = image.layers[0]?.digest ?? ''
    await using proxy = await TestProxy.start({ registry: origin })
    const fds = await proxy.crossdock.metric('process_open_fds')
    const stalled = await Promise.all(
      Array.from({ length: 30 }, () => open(`${proxy.base}/leavers/app/blobs/${digest}`)),
    )
    const leavers = Array.from({ length: roundsOf(200) }, async (_, i) => {
      const path = i % 3 === 0 ? 'manifests/1-zstd' : `blobs/${digest}`
      const abort = new AbortController()
      setTimeout(() => abort.abort(), dice.int(150))
      await ask(`${proxy.base}/leavers/app/${path}`, { signal: abort.signal })
    })
    const taken = await pull(proxy.base, 'leavers/app', '1')
    expect(taken.layers[0]?.digest).toBe(digest)
    await Promise.all(leavers)
    for (const one of stalled) one.abort()
    expect((await pull(proxy.base, 'leavers/app', '1-zstd')).layers).toHaveLength(1)
    expect(origin.count({ blob: digest, method: 'GET' })).toBe(1)
    // Connections to PostgreSQL stay for half a minute.
    await expect
      .poll(() => proxy.crossdock.metric('process_open_fds'), { timeout: 60_000 })
      .toBeLessThanOrEqual(fds + 5)
    await settles(proxy)
  })

  test('of 30 cold images at once are served or told to come back, and cached ones do not notice', async () => {
    await using proxy = await TestProxy.start({
      registry: origin,
      config: { limits: { queue: 4, retries: 0 } },
    })
    await origin.pushImage('queue/warm', '1')
    const warm = await pull(proxy.base, 'queue/warm', '1-zstd')
    for (let i = 0; i < 30; i++) await origin.pushImage(`queue/cold${i}`, '1')
    const gate = origin.hold({ kind: 'blob', method: 'GET' })
    const cold = Array.from({ length: 30 }, (_, i) =>
      ask(`${proxy.base}/queue/cold${i}/manifests/1-zstd`),
    )
    await gate.reached
    expect((await pull(proxy.base, 'queue/warm', '1-zstd')).digest).toBe(warm.digest)
    gate.release()
    const answers = await Promise.all(cold)
    const refused = answers.filter((one) => one.status === 503)
    expect(refused.length).toBeGreaterThan(0)
    for (const one of refused) expect(Number(one.headers['retry-after'])).toBeGreaterThan(0)
    expect(answers.every((one) => one.status === 200 || one.status === 503)).toBe(true)
    for (let i = 0; i < 30; i++) await eventually(proxy, `queue/cold${i}`, '1-zstd')
    await settles(proxy)
  })
})

test(
  'kill -9 at random under load loses no image that a client had, and starts again every time',
  async () => {
    const dice = new Dice(seedOf('random kills'))
    const names = Array.from({ length: 6 }, (_, i) => `killed/app${i}`)
    for (const name of names) await origin.pushImage(name, '1', { layers: [{ size: 400_000 }, {}] })
    await using proxy = await TestProxy.start({ registry: origin })
    /** Digest by what was pulled; the same ever after. */
    const had = new Map<string, PulledImage>()
    const rounds = roundsOf(5)
    for (let round = 0; round < rounds; round++) {
      const { base } = proxy
      let running = true
      const clients = Array.from({ length: 12 }, async () => {
        while (running) {
          const what = [dice.pick(names), `1-${dice.pick(PROFILES)}`] as const
          const image = await pull(base, ...what).catch((error: Error) => error)
          expect(image).not.toBeInstanceOf(PoisonError)
          if (image instanceof Error) continue
          const before = had.get(what.join(':'))
          if (before !== undefined) expect(image.digest).toBe(before.digest)
          had.set(what.join(':'), image)
        }
      })
      const wanted = proxy.crossdock.requests().length + 20 + dice.int(150)
      await expect
        .poll(() => proxy.crossdock.requests().length, { timeout: 30_000, interval: 5 })
        .toBeGreaterThan(wanted)
      await proxy.crossdock.stop('SIGKILL')
      running = false
      await Promise.all(clients)
      await proxy.crossdock[Symbol.asyncDispose]()
      await proxy.start({ cache: { offline: true } })
      const asked = origin.requests.length
      for (const [what, image] of had) {
        const [name = '', tag = ''] = what.split(':')
        expect((await pull(proxy.base, name, tag)).layers, what).toEqual(image.layers)
      }
      expect(origin.requests.length).toBe(asked)
      expect(await tempFiles(proxy.data)).toEqual([])
      await proxy.restart()
    }
    console.info(`${rounds} kills, ${had.size} images, 0 lost`)
    await settles(proxy)
  },
  patienceOf(300_000),
)

describe('a clock', () => {
  test.each([
    ['a year ahead', 365 * 86_400_000],
    ['a year behind', -365 * 86_400_000],
    ['in 1970', -Date.now() + 1000],
  ])(
    'that jumps to %s in the middle of a pull disturbs nothing',
    async (what, jump) => {
      const name = `clock/${what.replaceAll(' ', '-')}`
      const image = await origin.pushImage(name, '1', { layers: [{ size: 400_000 }] })
      await using proxy = await TestProxy.start({ registry: origin, faults: { jump } })
      const hold = origin.hold({ blob: image.layers[0]?.digest ?? '' }, { afterBytes: 200_000 })
      const pulling = pull(proxy.base, name, '1-zstd')
      await hold.reached
      process.kill(proxy.crossdock.pid, 'SIGUSR2')
      await expect.poll(() => proxy.crossdock.output()).toContain('the clock jumped')
      hold.release()
      const { digest } = await pulling
      const again = await pull(proxy.base, name, '1-zstd')
      expect([again.digest, again.conversion]).toEqual([digest, 'hit'])
      // Another process, whose clock is right again.
      await proxy.restart()
      expect((await pull(proxy.base, name, '1-zstd')).digest).toBe(digest)
      const moved = await origin.pushImage(name, '1')
      await proxy.restart('SIGTERM', { cache: { tagWindow: '0s' } })
      expect((await getManifest(proxy.base, name, '1')).digest).toBe(moved.digest)
      await settles(proxy)
    },
    START_MS,
  )
})

/** I9: works again without anybody's help. */
async function eventually(proxy: TestProxy, name: string, tag: string): Promise<void> {
  await expect
    .poll(
      () =>
        pull(proxy.base, name, tag).then(
          () => 'pulled',
          (error: Error) => `${error.name} ${error.message}`,
        ),
      { timeout: 20_000, interval: 100 },
    )
    .toBe('pulled')
}

/** I8 and what fsck looks at, after an orderly end. */
async function settles(proxy: TestProxy): Promise<void> {
  await expect.poll(() => tempFiles(proxy.data), { timeout: 10_000 }).toEqual([])
  expect(await proxy.stop()).toBe(0)
  expect((await fsck(proxy.data)).problems).toEqual([])
}
