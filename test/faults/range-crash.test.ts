/** kill -9 while a blob is pulled range by range: whoever has all of the ranges finds the blob afterwards, without any upstream. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { type Answer, ask } from '../helpers/faults-http.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest } from '../helpers/faults-puller.ts'

const MIB = 1024 * 1024
/** Far enough ahead of a download that has just begun. */
const MIDDLE = 10 * MIB
const OFFLINE = { cache: { offline: true } }

let origin: FakeRegistry
let image: FakeImage
let digest: string
let size: number

beforeAll(async () => {
  origin = await FakeRegistry.start()
  image = await origin.pushImage('app', '1', { layers: [{ size: 8 * MIB, compression: 'none' }] })
  digest = image.layers[0]?.digest ?? ''
  size = image.layers[0]?.bytes.byteLength ?? 0
})

afterAll(() => origin?.[Symbol.asyncDispose]())

describe('a blob that is pulled in two halves', () => {
  test.each([1, 2])('is there after a kill right then (%d)', async () => {
    await using proxy = await TestProxy.start({ registry: origin })
    await getManifest(proxy.base, 'app', '1')
    const halves = await Promise.all(halvesOf(proxy))
    await kill(proxy)
    expect(isAll(halves)).toBe(true)
    await hasIt(proxy)
  })

  const blob = () => `/blobs/sha256/(?:../)?${digest.slice(7)}$`
  test.each<[name: string, point: Omit<Failpoint, 'act' | 'path'>, path: () => string]>([
    ['before its fsync', { op: 'sync', when: 'before' }, () => '/tmp/'],
    ['before it has its name', { op: 'rename', when: 'before' }, blob],
    ['after that', { op: 'rename', when: 'after' }, blob],
  ])('is there for who has both when the server dies %s', async (_, point, path) => {
    const points = [{ ...point, path: path(), act: 'kill' }] as const
    const faults = { points, armedLater: true }
    await using proxy = await TestProxy.start({ registry: origin, faults })
    await getManifest(proxy.base, 'app', '1')
    process.kill(proxy.crossdock.pid, 'SIGWINCH')
    await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')
    const halves = await Promise.all(halvesOf(proxy))
    await kill(proxy)
    if (isAll(halves)) await hasIt(proxy)
  })

  test('and of which the second one came ahead of the download is there as well', async () => {
    const large = await origin.pushImage('large', '1', {
      layers: [{ size: 20 * MIB, compression: 'none' }],
    })
    const layer = large.layers[0]
    const total = layer?.bytes.byteLength ?? 0
    await using proxy = await TestProxy.start({ registry: origin })
    await getManifest(proxy.base, 'large', '1')
    const gate = Promise.withResolvers<void>()
    const target = { blob: layer?.digest ?? '', method: 'GET' } as const
    origin.fault(target, { times: 1, gateAfter: 1000, gate: () => gate.promise })
    const url = `${proxy.base}/large/blobs/${layer?.digest}`
    // Begins the download, and passes it by.
    const second = await ask(url, range(MIDDLE, total))
    expect(origin.count(target)).toBe(2)
    const first = ask(url, range(0, MIDDLE))
    gate.resolve()
    const halves = [await first, second]
    await kill(proxy)
    expect(isAll(halves, layer?.digest)).toBe(true)
    await hasIt(proxy, 'large', layer?.digest)
  })
})

function halvesOf({ base }: TestProxy): readonly Promise<Answer>[] {
  const url = `${base}/app/blobs/${digest}`
  const half = Math.floor(size / 2)
  return [ask(url, range(0, half)), ask(url, range(half, size))]
}

function range(start: number, end: number) {
  return { headers: { Range: `bytes=${start}-${end - 1}` } }
}

function isAll(halves: readonly Answer[], of = digest): boolean {
  if (!halves.every(({ isWhole }) => isWhole)) return false
  const bytes = Buffer.concat(halves.map((one) => one.bytes))
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` === of
}

async function kill(proxy: TestProxy): Promise<void> {
  await proxy.stop('SIGKILL')
}

async function hasIt(proxy: TestProxy, name = 'app', of = digest): Promise<void> {
  await proxy.start(OFFLINE)
  const again = await ask(`${proxy.base}/${name}/blobs/${of}`)
  expect([again.status, isAll([again], of)]).toEqual([200, true])
}
