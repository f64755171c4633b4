/** A disk that is full, fails, or has no more file descriptors: refusals instead of wrong answers, and work again afterwards. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { PoisonError, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'

const FORMATS = ['original', 'zstd', 'none', 'estargz', 'soci', 'nydus', 'nydus-ref'] as const

let origin: FakeRegistry

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

afterAll(() => origin?.[Symbol.asyncDispose]())

describe('a failing operation', () => {
  /** Errors at `nth` of an operation, `times` in a row, in a process that goes on. */
  async function survives(name: string, point: Failpoint, profile: string): Promise<boolean> {
    await origin.pushImage(name, '1', { layers: [{ size: 300_000 }, { size: 2_000 }] })
    await using proxy = await TestProxy.start({
      registry: origin,
      faults: { points: [point], armedLater: true },
    })
    process.kill(proxy.crossdock.pid, 'SIGWINCH')
    await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')
    const what = JSON.stringify({ ...point, profile })
    const first = await pull(proxy.base, name, `1-${profile}`).catch((error: Error) => error)
    expect(first, what).not.toBeInstanceOf(PoisonError)
    // The disk is well again by now, or is at one of the next tries; nobody has done anything about it.
    await expect
      .poll(
        async () =>
          await pull(proxy.base, name, `1-${profile}`).then(
            (image) => image.layers.length,
            (error: Error) => error.message,
          ),
        // Up to three failures, each of which is remembered for 5 s.
        { message: what, timeout: 30_000 },
      )
      .toBeGreaterThanOrEqual(2)
    await expect.poll(() => tempFiles(proxy.data), { message: what }).toEqual([])
    // A catalog that cannot be written at the very end is a failure.
    expect(point.op === 'commit' ? [0, 1] : [0], what).toContain(await proxy.stop())
    expect((await fsck(proxy.data)).problems, what).toEqual([])
    return first instanceof Error
  }

  test.each([
    ['a write to a temp file', { op: 'write', path: '/tmp/', act: 'ENOSPC' }],
    ['an fsync of a temp file', { op: 'sync', path: '/tmp/', act: 'EIO' }],
    ['the third fsync', { op: 'sync', path: '/tmp/', nth: 3, act: 'EIO' }],
    ['the rename of a blob', { op: 'rename', path: '/blobs/', act: 'ENOSPC' }],
    ['the rename of a sidecar', { op: 'rename', path: '/sidecars/', act: 'EROFS' }],
    ['the fsync of a folder', { op: 'sync', path: '/blobs/sha256/..$', act: 'EIO' }],
    ['a COMMIT', { op: 'commit', act: 'ENOSPC' }],
    ['a journal of proofs', { op: 'write', path: 'links$', act: 'ENOSPC' }],
  ] as const)('%s is told and forgotten', async (what, point) => {
    const name = `ops/${what.replaceAll(' ', '-').toLowerCase()}`
    await survives(name, { ...point, when: 'before' }, 'zstd')
  })

  test(
    'of any kind at any moment',
    async () => {
      const dice = new Dice(seedOf('failing operations'))
      const rounds = roundsOf(8)
      let failed = 0
      for (let round = 0; round < rounds; round++) {
        const point: Failpoint = {
          op: dice.pick(['write', 'sync', 'rename', 'commit']),
          when: 'before',
          nth: 1 + dice.int(12),
          times: 1 + dice.int(3),
          act: dice.pick(['EIO', 'ENOSPC', 'EMFILE', 'EROFS']),
        }
        if (await survives(`ops/any-${round}`, point, dice.pick(FORMATS))) failed += 1
      }
      console.info(`${failed} of ${rounds} pulls were refused at first`)
    },
    patienceOf(300_000),
  )
})

describe('a full disk', () => {
  test('refuses conversions, lets originals through, and recovers by itself', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-tmpfs-'))
    const data = join(folder, 'data')
    await mkdir(data)
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'crossdock-test', data])
    } catch (error) {
      console.warn(`skipped "a full disk": cannot mount a tmpfs here: ${error}`)
      await rm(folder, { recursive: true, force: true })
      return
    }
    try {
      const image = await origin.pushImage('full/app', '1', {
        layers: [{ size: 6_000_000 }],
      })
      const digest = image.layers[0]?.digest ?? ''
      const ballast = join(data, 'ballast')
      await using proxy = await TestProxy.start({ registry: origin, data })
      await writeFile(ballast, Buffer.alloc(28_000_000))

      const converted = await ask(`${proxy.base}/full/app/manifests/1-zstd`)
      expect([converted.status, errorOf(converted).code]).toEqual([503, 'UNAVAILABLE'])
      const original = await ask(`${proxy.base}/full/app/blobs/${digest}`)
      if (original.status === 200 && original.isWhole) {
        expect(digestOf(original.bytes)).toBe(digest)
      }
      expect((await ask(`${proxy.base}/`)).status).toBe(200)

      await rm(ballast)
      await expect
        .poll(async () => (await ask(`${proxy.base}/full/app/manifests/1-zstd`)).status, {
          timeout: 20_000,
        })
        .toBe(200)
      expect(digestOf((await ask(`${proxy.base}/full/app/blobs/${digest}`)).bytes)).toBe(digest)
      expect(await proxy.stop()).toBe(0)
      expect((await fsck(data)).problems).toEqual([])
    } finally {
      execFileSync('umount', ['-l', data])
      await rm(folder, { recursive: true, force: true })
    }
  })

  test(
    'with every write failing for good still answers what is cached',
    async () => {
      const first = await origin.pushImage('full/cached', '1')
      await origin.pushImage('full/cached', '2')
      const point = {
        op: 'write',
        when: 'before',
        path: '/tmp/',
        times: 1e9,
        act: 'ENOSPC',
      } as const
      await using proxy = await TestProxy.start({
        registry: origin,
        faults: { points: [point], armedLater: true },
      })
      await pull(proxy.base, 'full/cached', '1')
      process.kill(proxy.crossdock.pid, 'SIGWINCH')
      await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')

      expect((await pull(proxy.base, 'full/cached', '1')).digest).toBe(first.digest)
      for (const tag of ['2', '2-zstd']) {
        const answer = await ask(`${proxy.base}/full/cached/manifests/${tag}`)
        expect([tag, answer.status, errorOf(answer).code]).toEqual([tag, 503, 'UNAVAILABLE'])
      }
      expect(await tempFiles(proxy.data)).toEqual([])
    },
    START_MS,
  )
})
