/** One copy of the content under faults: killed, damaged or full, every digest that was handed out stays good. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import type { Failpoint, Operation } from '../helpers/faults-preload.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { PoisonError, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { isSharedPair } from '../helpers/pair.ts'
import { blobFiles, copyStore, harmBlob, loseCatalog } from '../helpers/stored.ts'

/** Folds at once what was pulled. */
const FOLDING = { cache: { dedup: 'on', lease: '0', offline: true } }
const OFFLINE = { cache: { offline: true } }
const TAGS = ['1', '1-zstd', '1-estargz', '1-soci'] as const

let origin: FakeRegistry
let folder: string
/** Data folders: as they were pulled, and folded. */
let pulled: string
let folded: string
const control = new Map<string, PulledImage>()

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-one-copy-'))
  pulled = join(folder, 'pulled')
  folded = join(folder, 'folded')
  await origin.pushImage('app', '1', { layers: [{ size: 300_000 }, { size: 100_000 }] })
  await using proxy = await TestProxy.start({ registry: origin })
  for (const tag of TAGS) control.set(tag, await pull(proxy.base, 'app', tag))
  await proxy.stop()
  await copyStore(proxy.data, pulled)
  await proxy.start(FOLDING)
  await vi.waitFor(async () => expect(await foldedBlobs(proxy)).toBeGreaterThanOrEqual(4), START_MS)
  await proxy.stop()
  await copyStore(proxy.data, folded)
}, 2 * START_MS)

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

/** What folding does, and no start: a start puts a mark and takes leases. */
const OF_FOLDING: Partial<Record<Operation, string>> = isSharedPair
  ? { rename: '/(?:blobs|recipes|proofs)/', commit: 'crossdock\\.(?:layers|links)\\b' }
  : {}

describe('a store that keeps one copy', () => {
  test.each([
    ['rename', 'before', 1],
    ['rename', 'after', 1],
    ['rename', 'after', 3],
    ['commit', 'before', 2],
    ['commit', 'after', 5],
    ['remove', 'before', 1],
    ['remove', 'after', 1],
    ['remove', 'after', 2],
  ] as const)(
    'serves all without upstream after a kill %s: %s, number %d',
    async (op, when, nth) => {
      const point: Failpoint = { op, when, nth, act: 'kill', path: OF_FOLDING[op] ?? '' }
      await onCopy(pulled, async (proxy) => {
        await proxy.start(FOLDING, { points: [point] })
        // Dead, or done when that many such steps never came.
        const isOver = async () => (await foldedBlobs(proxy).catch(() => 9)) >= 4
        await expect.poll(isOver, { timeout: START_MS }).toBe(true)
        await proxy.stop('SIGKILL')
        await proxy.start(OFFLINE)
        await servesAll(proxy)
      })
    },
  )

  test('serves all without upstream when its catalog is lost', async () => {
    await onCopy(folded, async (proxy) => {
      await loseCatalog(proxy.data)
      await proxy.start(OFFLINE)
      await servesAll(proxy)
    })
  })

  test('hands out no wrong byte when all that it keeps of layers has rotted, and all that upstream has', async () => {
    await onCopy(folded, async (proxy) => {
      const kept = await piecesIn(proxy.data)
      expect(kept.length).toBeGreaterThanOrEqual(4)
      for (const path of kept) await harmBlob(proxy.data, digestIn(path), rot)
      await proxy.start(OFFLINE)
      for (const tag of TAGS) {
        const again = await pull(proxy.base, 'app', tag).catch((error: Error) => error)
        expect(again).not.toBeInstanceOf(PoisonError)
        if ('layers' in again) expect(again.layers).toEqual(control.get(tag)?.layers)
      }
      await proxy.restart('SIGTERM', { cache: { offline: false } })
      await servesAll(proxy)
    })
  })

  test('folds nothing that it has no room for, and serves all', async () => {
    await onCopy(pulled, async (proxy) => {
      const full: Failpoint = {
        ...{ op: 'write', when: 'before', act: 'ENOSPC', path: '/data/.*tmp/', times: 1_000 },
        nth: 2,
      }
      await proxy.start(FOLDING, { points: [full] })
      await expect
        .poll(() => proxy.crossdock.output(), { timeout: START_MS })
        .toMatch(/ENOSPC|full|no room/)
      await proxy.restart('SIGTERM', OFFLINE)
      await servesAll(proxy)
    })
  })

  test('refuses a layer while there is no room to make it again, and serves it afterwards', async () => {
    await onCopy(folded, async (proxy) => {
      const full: Failpoint = {
        op: 'write',
        when: 'before',
        act: 'ENOSPC',
        path: '/data/.*tmp/',
        times: 1_000,
      }
      await proxy.start(OFFLINE, { points: [full], armedLater: true })
      process.kill(proxy.crossdock.pid, 'SIGWINCH')
      await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')
      await expect(pull(proxy.base, 'app', '1')).rejects.toThrow()
      await proxy.restart('SIGTERM', OFFLINE)
      await servesAll(proxy)
    })
  })
})

async function onCopy(data: string, work: (proxy: TestProxy) => Promise<void>): Promise<void> {
  await using proxy = await TestProxy.start({ registry: origin })
  await proxy.stop()
  await copyStore(data, proxy.data)
  await work(proxy)
  expect(await proxy.stop()).toBe(0)
  expect((await fsck(proxy.data)).problems).toEqual([])
}

/** What tells a zstd layer and corrections by their first bytes. */
const KINDS = [Buffer.from('28b52ffd', 'hex'), Buffer.from('gzfix')]

async function piecesIn(data: string): Promise<readonly string[]> {
  const paths = await blobFiles(data)
  const heads = await Promise.all(paths.map(async (path) => (await readFile(path)).subarray(0, 5)))
  return paths.filter((_, i) =>
    KINDS.some((kind) => heads[i]?.subarray(0, kind.byteLength).equals(kind)),
  )
}

const digestIn = (path: string) => `sha256:${basename(path)}`

async function rot(path: string): Promise<void> {
  const bytes = await readFile(path)
  const at = bytes.byteLength >> 1
  bytes[at] = (bytes[at] ?? 0) ^ 0x10
  await writeFile(path, bytes)
}

async function servesAll(proxy: TestProxy): Promise<void> {
  for (const [tag, image] of control) {
    const again = await pull(proxy.base, 'app', tag)
    expect({ tag, digest: again.digest }).toEqual({ tag, digest: image.digest })
    expect(again.layers).toEqual(image.layers)
  }
}

async function foldedBlobs({ crossdock }: TestProxy): Promise<number> {
  return await crossdock.metric('crossdock_folded_blobs_total')
}
