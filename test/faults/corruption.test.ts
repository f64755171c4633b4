/** A catalog that is gone or damaged, blobs that rot or turn into something else: found, put aside, and made good. */
import { execFileSync } from 'node:child_process'
import {
  cp,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { fsck } from '../helpers/faults-fsck.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, type PulledImage, pull } from '../helpers/faults-puller.ts'
import { Dice, patienceOf, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { isEmbeddedOnly } from '../helpers/pair.ts'
import { cutPower } from '../helpers/power-cut.ts'
import { copyStore, harmBlob, loseCatalog, removeBlob } from '../helpers/stored.ts'

let origin: FakeRegistry
let folder: string
/** A data folder with everything below. */
let template: string
let plain: PulledImage
let zstd: PulledImage
/** Whose parts no layer of the manifest shows: what stands beside, what is made of several layers. */
let others: ReadonlyMap<string, PulledImage>
const OTHERS = ['soci', 'nydus', 'nydus-ref'] as const

beforeAll(async () => {
  origin = await FakeRegistry.start()
  folder = await mkdtemp(join(tmpdir(), 'crossdock-rot-'))
  template = join(folder, 'template')
  await origin.pushImage('app', '1', { layers: [{ size: 300_000 }, { size: 1_000 }] })
  await using proxy = await TestProxy.start({ registry: origin })
  plain = await pull(proxy.base, 'app', '1')
  zstd = await pull(proxy.base, 'app', '1-zstd')
  const made = new Map<string, PulledImage>()
  for (const form of OTHERS) made.set(form, await pull(proxy.base, 'app', `1-${form}`))
  others = made
  await proxy.stop()
  await copyStore(proxy.data, template)
}, START_MS)

afterAll(async () => {
  await origin?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

type Damage = (path: string) => Promise<void>

const BECOMES: readonly (readonly [string, Damage])[] = [
  ['became a folder', async (path) => rm(path).then(() => mkdir(path))],
  ['became a link', async (path) => rm(path).then(() => symlink('/etc/passwd', path))],
  ['became a pipe', async (path) => rm(path).then(() => void execFileSync('mkfifo', [path]))],
]
const ODD = new Set(BECOMES.map(([, damage]) => damage))

async function onCopy(
  offline: boolean,
  damage: (data: string) => Promise<void>,
  check: (proxy: TestProxy) => Promise<void>,
): Promise<void> {
  const home = await mkdtemp(join(folder, 'copy-'))
  const data = join(home, 'data')
  await copyStore(template, data)
  await damage(data)
  await using proxy = await TestProxy.start({
    registry: origin,
    data,
    config: { cache: { offline } },
  })
  await check(proxy)
  expect(await proxy.stop()).toBe(0)
  expect((await fsck(data)).problems).toEqual([])
  await rm(home, { recursive: true, force: true })
}

/** An S3 has nothing but files: what becomes something else does so in the cache alone. */
async function harmed(
  data: string,
  digest: string,
  damage: (path: string) => Promise<void>,
): Promise<void> {
  await harmBlob(data, digest, damage, ODD.has(damage) ? 'copy' : 'object')
}

async function servesAsBefore(proxy: TestProxy): Promise<void> {
  expect(await pull(proxy.base, 'app', '1')).toEqual(plain)
  const converted = await pull(proxy.base, 'app', '1-zstd')
  expect(converted.bytes).toEqual(zstd.bytes)
  expect(converted.conversion).toBe('hit')
  for (const [form, image] of others) {
    const again = await pull(proxy.base, 'app', `1-${form}`)
    expect({ ...again, conversion: image.conversion }).toEqual(image)
    expect(again.conversion).toBe('hit')
  }
}

test('a catalog that is lost: everything is served as before, without any upstream', async () => {
  await onCopy(true, loseCatalog, servesAsBefore)
})

describe.skipIf(isEmbeddedOnly('PostgreSQL looks after its own files'))('the catalog', () => {
  test.each([
    ['is emptied', (path: string) => truncate(path, 0)],
    ['is cut', async (path: string) => truncate(path, 10_000)],
    ['is text', (path: string) => writeFile(path, 'not a database '.repeat(1000))],
  ])('%s: everything is served as before, without any upstream', async (_, damage) => {
    await onCopy(true, (data) => damage(layoutOf(data).catalog), servesAsBefore)
  })

  test(
    'has any byte flipped: it is sound, or made again',
    async () => {
      const dice = new Dice(seedOf('flips in the catalog'))
      for (let round = 0; round < roundsOf(4); round++) {
        await onCopy(
          true,
          async (data) => {
            const path = layoutOf(data).catalog
            const { length } = await readFile(path)
            const flips = 1 + dice.int(40)
            for (let i = 0; i < flips; i++) await flip(path, dice.int(length))
          },
          servesAsBefore,
        )
      }
    },
    patienceOf(START_MS),
  )

  test.each([0, 0.5, 0.95])(
    'keeps %d of its WAL in a power cut: tags, pins and links are answered as before',
    async (kept) => {
      await using proxy = await TestProxy.start({ registry: origin })
      await pull(proxy.base, 'app', '1')
      for (const form of ['zstd', ...OTHERS]) await pull(proxy.base, 'app', `1-${form}`)
      await proxy.stop('SIGKILL')
      await cutPower(proxy.data, kept)
      await proxy.start({ cache: { offline: true } })

      await servesAsBefore(proxy)
      expect((await getManifest(proxy.base, 'app', zstd.digest)).bytes).toEqual(zstd.bytes)
      expect((await getManifest(proxy.base, 'app', plain.digest)).bytes).toEqual(plain.bytes)
      expect(await proxy.stop()).toBe(0)
      expect((await fsck(proxy.data)).problems).toEqual([])
    },
  )

  test('of a newer schema is refused and left untouched', async () => {
    const data = join(await mkdtemp(join(folder, 'newer-')), 'data')
    await cp(template, data, { recursive: true })
    const path = layoutOf(data).catalog
    const file = await open(path, 'r+')
    await file.write(Uint8Array.of(0, 0, 0x7f, 0), 0, 4, 60)
    await file.close()
    const before = await readFile(path)
    await expect(TestProxy.start({ registry: origin, data })).rejects.toThrow(/newer crossdock/)
    expect(await readFile(path)).toEqual(before)
  })
})

describe('a blob', () => {
  const damages: readonly (readonly [string, (path: string) => Promise<void>])[] = [
    ['has a byte flipped', (path) => flip(path, 100)],
    ['is cut', (path) => truncate(path, 50)],
    ['is empty', (path) => truncate(path, 0)],
    ['has grown', async (path) => writeFile(path, await grown(path))],
    ['is gone', (path) => rm(path)],
    ...BECOMES,
  ]

  /** What each blob is made of or fetched with has rotted as well, or is sound. */
  const extents = damages.flatMap(([name, damage]) => [
    [`among others that rot ${name}`, damage, <T>(all: readonly T[]) => [all]] as const,
    // Most of such a test is the start of a server, so two kinds stand for the others.
    ...(name === 'has a byte flipped' || name === 'is gone'
      ? [[name, damage, <T>(all: readonly T[]) => all.map((one) => [one])] as const]
      : []),
  ])

  test.each(extents)(
    '%s: nobody completes it, and the next answer is right',
    async (_, damage, turns) => {
      const layer = (image: PulledImage) => (image.layers[0]?.digest ?? '') as Digest
      for (const rotten of turns([layer(plain), layer(zstd), plain.config as Digest])) {
        await onCopy(
          false,
          async (data) => {
            for (const digest of rotten) await harmed(data, digest, damage)
          },
          async (proxy) => {
            for (const digest of rotten) {
              const url = `${proxy.base}/app/blobs/${digest}`
              const first = await ask(url)
              const isComplete = first.status === 200 && first.isWhole
              if (isComplete) expect(digestOf(first.bytes)).toBe(digest)
              expect(digestOf((await ask(url)).bytes)).toBe(digest)
            }
            expect((await pull(proxy.base, 'app', '1')).layers).toEqual(plain.layers)
            expect((await pull(proxy.base, 'app', '1-zstd')).layers).toEqual(zstd.layers)
          },
        )
      }
    },
  )

  test.each(extents)(
    'that is a manifest %s: it is made or fetched again',
    async (_, damage, turns) => {
      for (const rotten of turns([plain, zstd, ...others.values()])) {
        await onCopy(
          false,
          async (data) => {
            for (const { digest } of rotten) await harmed(data, digest, damage)
          },
          async (proxy) => {
            for (const image of rotten) {
              const { bytes } = await getManifest(proxy.base, 'app', image.digest)
              expect(bytes).toEqual(image.bytes)
            }
          },
        )
      }
    },
  )

  test.each(OTHERS)(
    'of a -%s image is gone, whichever: it is made again to the same digest',
    async (form) => {
      const image = others.get(form)
      const parts = new Set((image?.layers ?? []).map((one) => one.digest as Digest))
      await onCopy(
        false,
        async (data) => {
          for (const digest of parts) await removeBlob(data, digest)
        },
        async (proxy) => {
          for (const digest of [...parts].reverse()) {
            expect(digestOf((await ask(`${proxy.base}/app/blobs/${digest}`)).bytes)).toBe(digest)
          }
          expect((await pull(proxy.base, 'app', `1-${form}`)).layers).toEqual(image?.layers)
        },
      )
    },
  )

  test('with any byte flipped is never completed wrong', async () => {
    const dice = new Dice(seedOf('flips in blobs'))
    const digests = [plain.config, ...plain.layers.map((one) => one.digest)].map(
      (digest) => digest as Digest,
    )
    await onCopy(
      false,
      async (data) => {
        for (const digest of digests) {
          await harmBlob(data, digest, async (path) =>
            flip(path, dice.int((await readFile(path)).length)),
          )
        }
      },
      async (proxy) => {
        // A puller throws PoisonError on wrong bytes with an orderly end; a cut is what it may see once for each.
        for (let tries = 0; tries <= digests.length; tries++) {
          const image = await pull(proxy.base, 'app', '1').catch((error: Error) => error)
          if (!(image instanceof Error)) break
          expect(image.name).toBe('RefusedError')
        }
        expect(await pull(proxy.base, 'app', '1')).toEqual(plain)
      },
    )
  })
})

async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+')
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at)
  buffer[0] = (buffer[0] ?? 0) ^ 0x10
  await file.write(buffer, 0, 1, at)
  await file.close()
}

async function grown(path: string): Promise<Buffer> {
  return Buffer.concat([await readFile(path), Buffer.from('more')])
}
