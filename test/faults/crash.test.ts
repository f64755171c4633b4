/** kill -9 at every stage of a pull: the next start repairs nothing but temp files, and loses nothing that was acknowledged. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck, tempFiles } from '../helpers/faults-fsck.ts'
import { open } from '../helpers/faults-http.ts'
import type { Failpoint } from '../helpers/faults-preload.ts'
import { CONVERTED } from '../helpers/faults-profiles.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { isEmbeddedOnly, isSharedPair } from '../helpers/pair.ts'
import { copyStore, loseCatalog } from '../helpers/stored.ts'

const SIZE = 2_000_000
/** Temp files are swept and the catalog is looked at: no start may take long, on a busy machine either. */
const LONGEST_START_MS = 30_000

let origin: FakeRegistry
let image: FakeImage
/** From a crossdock that nothing ever happened to. */
let control: { readonly plain: PulledImage; readonly made: ReadonlyMap<string, PulledImage> }
/** What the control did to its disk and catalog: for a plain pull, then for each format. */
let steps: ReadonlyMap<string, readonly string[]>
/** Data folders to start from: one of a server that never pulled, one with the plain image. */
let templates: string
let empty: string
let pulled: string

beforeAll(async () => {
  origin = await FakeRegistry.start()
  image = await origin.pushImage('app', '1', { layers: [{ size: SIZE }] })
  templates = await mkdtemp(join(tmpdir(), 'crossdock-templates-'))
  const trace = join(templates, 'trace')
  empty = join(templates, 'empty')
  pulled = join(templates, 'pulled')
  const taken = new Map<string, readonly string[]>()
  await using proxy = await TestProxy.start({ registry: origin, faults: { trace } })
  await proxy.stop()
  await copyStore(proxy.data, empty)
  await rm(trace)
  await proxy.start({}, { trace })
  steps = taken
  let before = await linesOf(trace)
  const note = async (name: string) => {
    const lines = await linesOf(trace)
    taken.set(name, lines.slice(before.length))
    before = lines
  }
  const plain = await pull(proxy.base, 'app', '1')
  await note('plain')
  await proxy.stop()
  await copyStore(proxy.data, pulled)
  await proxy.start({}, { trace })
  before = await linesOf(trace)
  const made = new Map<string, PulledImage>()
  for (const format of CONVERTED) {
    made.set(format, await pull(proxy.base, 'app', `1-${format}`))
    await note(format)
  }
  control = { plain, made }
}, START_MS)

afterEach(() => origin.clearFaults())

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(templates, { recursive: true, force: true })
})

const layerOf = (one: { readonly layers: readonly { readonly digest: string }[] }) =>
  one.layers[0]?.digest ?? ''
const hexOf = (digest: string) => digest.slice(7)
const madeAs = (format: string) => control.made.get(format) ?? control.plain

/** Kill at each step instead of at a sample of them: hundreds, of a second or two each. */
const EVERY_STEP = Boolean(process.env.FAULTS_EVERY_STEP)
const EVERY_STEP_MS = 3 * 60 * 60_000
const PULLS: readonly string[] = ['plain', ...CONVERTED]
const CHOICES = EVERY_STEP
  ? PULLS.map((what) => ({ title: what, pulls: [what] }))
  : [{ title: 'a sample', pulls: PULLS }]

describe('stages that upstream holds', () => {
  test.each([
    ['K1: headers received', '1', 1],
    ['K2: half of a layer received', '1', SIZE / 2],
    ['K3: all but the last byte received', '1', -1],
    ['K8: half of a layer converted', '1-zstd', SIZE / 2],
    ['K8: half of a layer converted', '1-estargz', SIZE / 2],
  ])('%s (%s)', async (_, tag, afterBytes) => {
    await using proxy = await TestProxy.start({ registry: origin })
    const size = image.layers[0]?.bytes.byteLength ?? 0
    const held = afterBytes < 0 ? size + afterBytes : afterBytes
    const hold = origin.hold({ blob: layerOf(image), method: 'GET' }, { afterBytes: held })
    const cut = pull(proxy.base, 'app', tag).catch(() => undefined)
    await hold.reached
    const least = held - 200_000
    await expect
      .poll(async () => Math.max(0, ...(await tempFiles(proxy.data))))
      .toBeGreaterThan(least)
    await kill(proxy)
    hold.release()
    await cut

    await recovers(proxy, tag, { blobGets: 1 })
  })

  test('K14: a part of an answer sent', async () => {
    const large = await origin.pushImage('large', '1', {
      layers: [{ size: 30_000_000, compression: 'none' }],
    })
    await using proxy = await TestProxy.start({ registry: origin })
    await pull(proxy.base, 'large', '1')
    const head = await open(`${proxy.base}/large/blobs/${layerOf(large)}`)
    head.incoming.pause()
    await kill(proxy)
    expect((await head.body).isWhole).toBe(false)

    await proxy.start({ cache: { offline: true } })
    expect((await pull(proxy.base, 'large', '1')).layers).toHaveLength(1)
    await proxy.stop()
    expect((await fsck(proxy.data)).problems).toEqual([])
  })

  test.skipIf(isEmbeddedOnly('a catalog on PostgreSQL is no file that is renamed')).each([
    ['K16: a rebuild of the catalog', 'catalog.sqlite'],
    ['K17: the making of the first catalog', undefined],
  ])('%s', async (_, gone) => {
    const folder = await mkdtemp(join(tmpdir(), 'crossdock-crash-'))
    const data = join(folder, 'data')
    if (gone !== undefined) {
      await copyStore(pulled, data)
      await loseCatalog(data)
    }
    for (const when of ['before', 'after'] as const) {
      const points: Failpoint[] = [{ op: 'rename', when, path: 'catalog\\.sqlite$', act: 'kill' }]
      await expect(TestProxy.start({ registry: origin, data, faults: { points } })).rejects.toThrow(
        /did not start/,
      )
      if (when === 'before') expect(await tempFiles(data)).not.toEqual([])
      else break
    }
    await using proxy = await TestProxy.start({ registry: origin, data })
    await proxy.stop()
    await recovers(proxy, '1', { blobGets: gone === undefined ? 1 : 0 })
    await rm(folder, { recursive: true, force: true })
  })
})

test.runIf(isSharedPair)('K16: filling a catalog on PostgreSQL again from S3', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-crash-'))
  const data = join(folder, 'data')
  await copyStore(pulled, data)
  await loseCatalog(data)
  for (const when of ['before', 'after'] as const) {
    const points: Failpoint[] = [
      { op: 'commit', when, path: 'INTO crossdock\\.links', act: 'kill' },
    ]
    await expect(TestProxy.start({ registry: origin, data, faults: { points } })).rejects.toThrow(
      /did not start/,
    )
  }
  await using proxy = await TestProxy.start({ registry: origin, data })
  await proxy.stop()
  await recovers(proxy, '1', { blobGets: 0 })
  await rm(folder, { recursive: true, force: true })
})

describe('stages of the disk and the catalog', () => {
  const blob = (digest: () => string) => () => `/blobs/sha256/(?:../)?${hexOf(digest())}$`
  const folder = (digest: () => string) => () => `/blobs/sha256/${hexOf(digest()).slice(0, 2)}$`
  const sidecar = (digest: () => string) => () =>
    `/sidecars/sha256/(?:../)?${hexOf(digest())}\\.json$`
  const source = () => layerOf(image)
  const target = () => layerOf(madeAs('zstd'))
  const targetManifest = () => madeAs('zstd').digest

  /**
   * `gets`: of the layer, after the restart. A blob that is here but whose link is not recorded opens to nobody, so it is
   * fetched again. From K9 on the source is here already.
   */
  test.each<
    [
      name: string,
      tag: string,
      gets: 0 | 1,
      point: Omit<Failpoint, 'act' | 'path'>,
      path: () => string,
    ]
  >([
    ['K4: a temp file before its fsync', '1', 1, { op: 'sync', when: 'before' }, () => '/tmp/'],
    ['K5: after it, before the rename', '1', 1, { op: 'rename', when: 'before' }, blob(source)],
    [
      'K6: after that, before the fsync of the folder',
      '1',
      1,
      { op: 'rename', when: 'after' },
      blob(source),
    ],
    ['K7: after that', '1', 1, { op: 'sync', when: 'after' }, folder(source)],
    ['K7: before a sidecar', '1', 1, { op: 'rename', when: 'before' }, sidecar(() => image.digest)],
    [
      'K9: a converted layer before its rename',
      '1-zstd',
      0,
      { op: 'rename', when: 'before' },
      blob(target),
    ],
    ['K10: after that', '1-zstd', 0, { op: 'rename', when: 'after' }, blob(target)],
    [
      'K10: before the sidecar',
      '1-zstd',
      0,
      { op: 'rename', when: 'before' },
      sidecar(targetManifest),
    ],
    [
      'K11: after the sidecar',
      '1-zstd',
      0,
      { op: 'rename', when: 'after' },
      sidecar(targetManifest),
    ],
    ['K12: before a COMMIT', '1-zstd', 0, { op: 'commit', when: 'before' }, () => ''],
    ['K13: after a COMMIT', '1-zstd', 0, { op: 'commit', when: 'after' }, () => ''],
  ])('%s (%s)', async (_, tag, blobGets, point, path) => {
    expect(await crashAt(tag, [{ ...point, path: path(), act: 'kill' }], blobGets)).toBe(true)
  })

  test.each(CHOICES)(
    'any step of any pull ($title)',
    async ({ pulls }) => {
      const dice = new Dice(seedOf('any step of any pull'))
      const all = pulls.flatMap((what) =>
        (steps.get(what) ?? []).map((_, line) => ({ what, line })),
      )
      const chosen = EVERY_STEP ? all : dice.shuffled(all).slice(0, roundsOf(6))
      let crashes = 0
      for (const { what, line } of chosen) {
        const list = steps.get(what) ?? []
        const [op, when] = (list[line] ?? '').split(' ')
        const nth = list.slice(0, line + 1).filter((one) => one.startsWith(`${op} ${when} `)).length
        const point = { op, when, nth, act: 'kill' } as Failpoint
        if (await crashAt(what === 'plain' ? '1' : `1-${what}`, [point], 1)) crashes += 1
      }
      console.info(`killed at ${crashes} of ${chosen.length} steps out of ${all.length}`)
      // Steps that follow the answer may be another few than those of the control.
      expect(crashes).toBeGreaterThanOrEqual(chosen.length / 2)
    },
    EVERY_STEP ? EVERY_STEP_MS : patienceOf(300_000),
  )
})

/** Pulls with a process that dies at this point, then sees that all is well. False: it never came to that point. */
async function crashAt(
  tag: string,
  points: readonly Failpoint[],
  blobGets: 0 | 1,
): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-crash-'))
  const data = join(folder, 'data')
  await copyStore(tag === '1' ? empty : pulled, data)
  try {
    await using proxy = await TestProxy.start({
      registry: origin,
      data,
      faults: { points, armedLater: true },
    })
    const { pid } = proxy.crossdock
    process.kill(pid, 'SIGWINCH')
    await expect.poll(() => proxy.crossdock.output()).toContain('faults are armed')
    const cut = await pull(proxy.base, 'app', tag).catch((error: unknown) => error)
    // A step after the answer comes a moment later, or not at all.
    const isDead = cut instanceof Error || (await dies(pid))
    if (isDead)
      await expect.poll(() => isAlive(pid), { message: JSON.stringify(points) }).toBe(false)
    else await kill(proxy)
    await recovers(proxy, tag, { blobGets })
    return isDead
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Whether the process ends although its client has got all it wanted. */
async function dies(pid: number): Promise<boolean> {
  try {
    await expect.poll(() => isAlive(pid), { timeout: 300 }).toBe(false)
    return true
  } catch {
    return false
  }
}

/** I1 to I4, I8, I9 and I11 after a crash; the process has ended. */
async function recovers(
  proxy: TestProxy,
  tag: string,
  most: { readonly blobGets: number },
): Promise<void> {
  const expected = tag === '1' ? control.plain : madeAs(tag.slice(2))
  const gets = () => origin.count({ blob: layerOf(image), method: 'GET' })
  await proxy.crossdock[Symbol.asyncDispose]()
  const before = gets()
  const began = performance.now()
  await proxy.start()
  expect(performance.now() - began).toBeLessThan(LONGEST_START_MS)
  expect(await tempFiles(proxy.data)).toEqual([])

  const again = await pull(proxy.base, 'app', tag)
  expect(again.digest).toBe(expected.digest)
  expect(again.layers).toEqual(expected.layers)
  expect(gets() - before).toBeLessThanOrEqual(most.blobGets)

  // What a client has pulled to its end stays, whatever happens: kill -9 at once, and no upstream any more.
  await proxy.stop('SIGKILL')
  await proxy.start({ cache: { offline: true } })
  const asked = origin.requests.length
  expect((await pull(proxy.base, 'app', tag)).layers).toEqual(expected.layers)
  expect(origin.requests.length).toBe(asked)
  expect(await proxy.stop()).toBe(0)
  expect((await fsck(proxy.data)).problems).toEqual([])
}

async function kill(proxy: TestProxy): Promise<void> {
  await proxy.crossdock.stop('SIGKILL')
}

/** Not yet waited for counts as dead. */
async function isAlive(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return text !== '' && !/\) [ZX] /.test(text)
}

async function linesOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.split('\n').filter((line) => line !== '')
}
