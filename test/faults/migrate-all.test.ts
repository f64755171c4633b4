/** `crossdock migrate` of a store with all that a store can hold, which its server folds, fills and empties meanwhile. */
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Digest } from '../../src/oci/digest.ts'
import { layoutOf } from '../../src/store/layout.ts'
import { as512, as512Layer, fakeImage, fakeLayer } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest, pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { Migration, STEPS } from '../helpers/migration.ts'
import { bytesOf, crowd } from '../helpers/pulling-crowd.ts'
import { hasSharedPair } from '../helpers/replicas.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { digestsOnS3 } from '../helpers/s3-store.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked', '1-soci']

/** Pulled all the time, in every form, by a server that has no room for all of it. */
const BUSY = ['busy/0', 'busy/1', 'busy/2']

/** Folds what was pulled, and lets go of the rest. */
const FOLDING = { dedup: 'on', lease: '0', tagWindow: '1d', maxSize: 4_000_000 }

const LAYERS = [{ size: 300_000 }, { size: 100_000 }]

describe.skipIf(!hasSharedPair)('an embedded store that holds everything', () => {
  let origin: FakeRegistry
  let migration: Migration
  let old: TestProxy

  beforeAll(async () => {
    origin = await FakeRegistry.start()
    migration = await Migration.open(origin)
    for (const name of [...BUSY, 'kept/app', 'carried/app', 'rot/app']) {
      await origin.pushImage(name, '1', { layers: LAYERS })
    }
    const layers = [as512Layer(await fakeLayer()), await fakeLayer()]
    origin.push('long/app', '1', as512(await fakeImage({ layers })))
    const garbage = { ...(await fakeLayer()), bytes: Buffer.alloc(600, 'no layer ') }
    const digest = origin.pushBlob('refused/app', garbage.bytes)
    await origin.pushImage('refused/app', '1', { layers: [{ ...garbage, digest }] })
    old = await TestProxy.start({ registry: origin, config: { cache: FOLDING } })
    migration.from = old.data
  }, START_MS)

  afterAll(async () => {
    await old?.[Symbol.asyncDispose]()
    await migration?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  /** A bundle of an image that no upstream has any more comes into the old store. */
  async function carry(): Promise<void> {
    const [main, data] = [join(ROOT, 'src/main.ts'), join(migration.folder, 'elsewhere')]
    const at = (folder: string) => [
      ...['--config', join(migration.folder, 'own.yaml'), '--data', folder],
    ]
    const bundle = join(migration.folder, 'bundle.tar')
    await migration.command(['list'])
    const image = 'origin/carried/app:1-zstd'
    await mustRun(process.execPath, [main, 'export', image, '--output', bundle, ...at(data)])
    await mustRun(process.execPath, [main, 'import', bundle, ...at(old.data)])
    origin.deleteTag('carried/app', '1')
    expect((await migration.run('pin', image)).status).toBe(0)
  }

  const pathOf = (digest = '') => layoutOf(old.data).blob(digest as Digest)

  /** One blob is put aside and fetched again; says the digest of another one, which is to rot unseen. */
  async function rot(): Promise<string | undefined> {
    const [first, second] = (await pull(old.base, 'rot/app', '1-estargz')).layers
    await writeFile(pathOf(first?.digest), 'rot')
    await pull(old.base, 'rot/app', '1-estargz').catch(() => undefined)
    await pull(old.base, 'rot/app', '1-estargz')
    expect(await readdir(layoutOf(old.data).quarantine)).toHaveLength(1)
    return second?.digest
  }

  /** What a server without an upstream answers to each name. */
  async function answersOf(base: string): Promise<ReadonlyMap<string, object>> {
    const names = [...BUSY, 'kept/app', 'carried/app', 'long/app', 'rot/app']
    const found = new Map<string, object>()
    for (const name of names) {
      for (const form of FORMS) {
        const image = await pull(base, name, form).then(bytesOf, () => undefined)
        if (image !== undefined) found.set(`${name}:${form}`, image)
      }
    }
    const how = { headers: { 'crossdock-profile': 'zstd' } }
    const { digest, conversion } = await getManifest(base, 'refused/app', '1', how)
    found.set('refused/app', { digest, conversion })
    return found
  }

  test('is moved while it is served and killed at every step, and all that it served offline is served from there', async () => {
    await carry()
    for (const form of FORMS) await pull(old.base, 'kept/app', form)
    for (const form of FORMS) await pull(old.base, 'long/app', form)
    await getManifest(old.base, 'refused/app', '1', { headers: { 'crossdock-profile': 'zstd' } })
    expect((await migration.run('pin', 'origin/kept/app:1')).status).toBe(0)

    const wanted = BUSY.flatMap((name) => FORMS.map((form) => [name, form] as const))
    const pulling = crowd(() => old.base, wanted, 2)
    for (const step of STEPS) await migration.runUntil(step)
    await migration.killWhileItMakesTheCatalog()
    expect(await migration.run('migrate')).toMatchObject({ status: 0 })
    const folded = () => old.crossdock.metric('crossdock_folded_blobs_total')
    await expect.poll(folded, { timeout: START_MS }).toBeGreaterThan(3)
    // Without a lease what somebody just reads may go, and is made again. Nobody gets a wrong byte, and nobody is cut.
    expect((await pulling.end()).told).toEqual([])
    const lost = await rot()

    await old.restart('SIGTERM', { cache: { offline: true, tagWindow: '1d' } })
    // What is asked for first may be made then, and stand in for others from then on.
    await answersOf(old.base)
    const before = await answersOf(old.base)
    await old.stop()
    await writeFile(pathOf(lost), 'rotten')
    expect(before.size).toBeGreaterThan(15)
    const rest = await migration.run('migrate')
    expect([rest.status, rest.stdout]).toEqual([1, expect.stringContaining(`lost   ${lost}`)])

    await using moved = await TestProxy.start({
      registry: origin,
      config: { store: migration.storeAt(migration.place), cache: { offline: true } },
      env: S3_CREDENTIALS,
    })
    const after = await answersOf(moved.base)
    for (const [key, answer] of before) expect([key, after.get(key)]).toEqual([key, answer])
    const recipes = await digestsOnS3(migration.place, 'recipes/')
    expect(recipes.size).toBeGreaterThan(0)
    for (const [key, digest] of await digestsOnS3(migration.place, 'blobs/sha256/')) {
      expect(key).toContain(digest.slice('sha256:'.length))
    }
  }, 300_000)
})
