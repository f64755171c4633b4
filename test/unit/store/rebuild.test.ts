import { open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { Repository } from '../../../src/oci/repository.ts'
import type { Catalog } from '../../../src/ports/catalog.ts'
import type { Link } from '../../../src/ports/links.ts'
import { recorded } from '../../../src/recorded.ts'
import { layoutOf } from '../../../src/store/layout.ts'
import type { Store } from '../../../src/store/open.ts'
import { MIGRATIONS } from '../../../src/store/sqlite-schema.ts'
import { sumOfValues } from '../../../src/store/sqlite-sums.ts'
import { parseSummedJson, summedJson } from '../../../src/store/summed-json.ts'
import { put, toArray } from '../../contract/blob-store.ts'
import { digest, image, layer } from '../../contract/catalog.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'

const TYPE = 'application/vnd.oci.image.manifest.v1+json'
const REPOSITORIES: readonly Repository[] = [
  { upstream: 'docker.io', name: 'library/alpine' },
  { upstream: 'docker.io', name: 'evil/alpine' },
  { upstream: 'ghcr.io', name: 'library/alpine' },
]
const TAGS = ['1', '2', 'latest']
/** Moves by one with every act. */
let clock = 1_000
const CLOCK = { ...systemClock, now: () => clock }
/** A source layer that a format leaves as it is. */
const OWN = 'own layer'
const BLOBS = Array.from({ length: 6 }, (_, i) => digest(`blob ${i}`))

let store: DiskStore | undefined
afterEach(async () => {
  await store?.[Symbol.asyncDispose]()
  store = undefined
})

/** What a server does to the store, in its order: bytes, sidecar, catalog. */
type Act =
  | {
      readonly kind: 'manifest'
      readonly where: number
      readonly layers: number[]
      readonly tag?: number
    }
  | { readonly kind: 'prove'; readonly where: number; readonly blob: number }
  | { readonly kind: 'forget'; readonly where: number; readonly tag: number }
  | { readonly kind: 'convert'; readonly source: number }
  | { readonly kind: 'learn'; readonly where: number; readonly architecture: string }

const ACT: fc.Arbitrary<Act> = fc.oneof(
  fc.record(
    {
      kind: fc.constant('manifest' as const),
      where: fc.nat(REPOSITORIES.length - 1),
      layers: fc.uniqueArray(fc.nat(BLOBS.length - 1), { minLength: 1, maxLength: 3 }),
      tag: fc.nat(TAGS.length - 1),
    },
    { requiredKeys: ['kind', 'where', 'layers'] },
  ),
  fc.record({
    kind: fc.constant('prove' as const),
    where: fc.nat(REPOSITORIES.length - 1),
    blob: fc.nat(BLOBS.length - 1),
  }),
  fc.record({
    kind: fc.constant('forget' as const),
    where: fc.nat(REPOSITORIES.length - 1),
    tag: fc.nat(TAGS.length - 1),
  }),
  fc.record({ kind: fc.constant('convert' as const), source: fc.nat(3) }),
  fc.record({
    kind: fc.constant('learn' as const),
    where: fc.nat(REPOSITORIES.length - 1),
    architecture: fc.constantFrom('amd64', 'arm64'),
  }),
)

it('answers every question as before when the catalog is gone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ACT, { minLength: 1, maxLength: 12 }), async (acts) => {
      await using first = await diskStore(CLOCK)
      const targets = [...BLOBS, ...(await perform(first, acts))]
      const before = await answers(first.catalog, targets)

      await using second = await first.reopen(() => removeCatalog(first.data))

      expect(await answers(second.catalog, targets)).toEqual(before)
    }),
    { numRuns: 15 },
  )
})

it('never opens to a repository what it only named', async () => {
  store = await diskStore()
  const [alpine, evil] = REPOSITORIES as [Repository, Repository]
  await perform(store, [
    { kind: 'manifest', where: 0, layers: [0] },
    { kind: 'prove', where: 0, blob: 0 },
    { kind: 'manifest', where: 1, layers: [0] },
  ])

  store = await store.reopen(() => removeCatalog(store?.data ?? ''))

  const blob = BLOBS[0] ?? digest('')
  expect((await store.catalog.links.find(alpine, blob))?.standing).toBe('proven')
  expect((await store.catalog.links.find(evil, blob))?.standing).toBe('named')
})

describe('a damaged catalog', () => {
  it.each([
    ['is no database', (path: string) => writeFile(path, 'x'.repeat(10_000))],
    ['was cut in half', async (path: string) => truncate(path, 8_192)],
    ['is empty', async (path: string) => truncate(path, 0)],
    ['was overwritten in the middle', (path: string) => overwrite(path, 4_096 * 3)],
  ])('is rebuilt when it %s', async (_, damage) => {
    store = await diskStore()
    await perform(store, [
      { kind: 'manifest', where: 0, layers: [0, 1], tag: 0 },
      { kind: 'prove', where: 0, blob: 0 },
      { kind: 'convert', source: 1 },
    ])
    const before = await answers(store.catalog, BLOBS)

    store = await store.reopen(() => damage(join(store?.data ?? '', 'catalog.sqlite')))

    expect(await answers(store.catalog, BLOBS)).toEqual(before)
    await expect(store.catalog.check()).resolves.toBeUndefined()
  })

  it('is kept beside the new one', async () => {
    store = await diskStore()
    const { data } = store
    store = await store.reopen(() => writeFile(join(data, 'catalog.sqlite'), 'x'.repeat(9_999)))

    expect(await readFile(join(data, 'catalog.sqlite.damaged'), 'utf8')).toBe('x'.repeat(9_999))
  })
})

it('refuses a catalog of a newer schema and leaves it untouched', async () => {
  store = await diskStore()
  const { data } = store
  const path = join(data, 'catalog.sqlite')
  let before = Buffer.alloc(0)

  const opening = store.reopen(async () => {
    const db = new Sqlite(path)
    db.pragma('user_version = 99')
    db.close()
    before = await readFile(path)
  })

  await expect(opening).rejects.toThrow(/has schema 99/)
  expect((await readFile(path)).equals(before)).toBe(true)
  expect((await readdir(data)).filter((name) => name.startsWith('catalog.sqlite'))).toEqual([
    'catalog.sqlite',
  ])
  await rm(data, { recursive: true })
  store = undefined
})

it('takes the youngest claim of a tag that has moved', async () => {
  store = await diskStore()
  await perform(store, [
    { kind: 'manifest', where: 0, layers: [0], tag: 0 },
    { kind: 'manifest', where: 0, layers: [1], tag: 0 },
    { kind: 'manifest', where: 0, layers: [2], tag: 1 },
  ])
  const [alpine] = REPOSITORIES as [Repository]
  const before = await store.catalog.tags.find(alpine, '1')

  store = await store.reopen(() => removeCatalog(store?.data ?? ''))

  expect(await store.catalog.tags.find(alpine, '1')).toEqual(before)
})

it('skips sidecars and journals that rotted', async () => {
  store = await diskStore()
  const { data } = store
  await perform(store, [
    { kind: 'manifest', where: 0, layers: [0], tag: 0 },
    { kind: 'prove', where: 0, blob: 0 },
  ])
  const files = await readdir(join(data, 'sidecars'), { recursive: true, withFileTypes: true })

  store = await store.reopen(async () => {
    await removeCatalog(data)
    for (const file of files) {
      if (file.isFile()) await writeFile(join(file.parentPath, file.name), '{"digest":')
    }
  })

  expect(await toArray(store.catalog.tags.list())).toEqual([])
})

it('does not bring back a tag that was forgotten after it had moved', async () => {
  store = await diskStore(CLOCK)
  await perform(store, [
    { kind: 'manifest', where: 0, layers: [0], tag: 0 },
    { kind: 'manifest', where: 0, layers: [1], tag: 0 },
    { kind: 'forget', where: 0, tag: 0 },
    { kind: 'manifest', where: 1, layers: [1], tag: 0 },
  ])

  store = await store.reopen(() => removeCatalog(store?.data ?? ''))

  const left = await toArray(store.catalog.tags.list())
  expect(left.map(({ name, tag }) => ({ name, tag }))).toEqual([{ name: 'evil/alpine', tag: '1' }])
})

async function perform(on: Store, acts: readonly Act[]) {
  const targets = []
  for (const act of acts) {
    clock += 1
    if (act.kind === 'manifest') targets.push(await recordManifest(on, act))
    else if (act.kind === 'prove') {
      await on.catalog.links.record(repositoryAt(act.where), [
        { digest: BLOBS[act.blob] ?? digest(''), size: 10, standing: 'proven' },
      ])
    } else if (act.kind === 'forget') {
      await on.catalog.tags.forget(repositoryAt(act.where), TAGS[act.tag] ?? '')
    } else if (act.kind === 'learn') {
      const platform = { os: 'linux', architecture: act.architecture }
      await on.catalog.platforms.learn(repositoryAt(act.where), platform, clock)
    } else targets.push(await recordConversion(on, `source ${act.source}`))
  }
  return targets
}

async function recordManifest(on: Store, act: Act & { readonly kind: 'manifest' }) {
  const { upstream, name } = repositoryAt(act.where)
  const layers = act.layers.map((i) => ({ digest: BLOBS[i] ?? digest(''), size: 10 }))
  const bytes = Buffer.from(
    JSON.stringify({ config: { digest: digest('config'), size: 2 }, layers }),
  )
  const stat = await put(on.blobs, bytes)
  const tag = act.tag === undefined ? undefined : (TAGS[act.tag] ?? '')
  await on.sidecars.update(stat.digest, (current) => {
    const here = current?.places.find((one) => one.upstream === upstream && one.name === name)
    const rest = (current?.places ?? []).filter((one) => one !== here)
    const tags = { ...here?.tags, ...(tag !== undefined && { [tag]: clock }) }
    return { ...stat, mediaType: TYPE, places: [...rest, { upstream, name, tags }] }
  })
  const named = [{ digest: digest('config'), size: 2 }, ...layers]
  await on.catalog.links.record({ upstream, name }, [
    { ...stat, mediaType: TYPE, standing: 'proven' },
    ...named.map((one): Link => ({ ...one, standing: 'named' })),
  ])
  if (tag !== undefined) {
    const record = { digest: stat.digest, checkedAt: clock }
    await on.catalog.tags.record({ upstream, name }, tag, record)
  }
  return stat.digest
}

const FALLBACK = { why: 'a path that is there twice', revision: 1 }

async function recordConversion(on: Store, source: string) {
  const layers = ['x layer', OWN].map((one) => ({ digest: digest(one), size: 123 }))
  const bytes = Buffer.from(JSON.stringify({ layers, annotations: { source } }))
  const stat = await put(on.blobs, bytes)
  const left = { ...layer(OWN, OWN), encoding: 'estargz', fallback: FALLBACK }
  const { layers: written, ...rest } = image(source, 'x')
  const made = {
    ...{ ...rest, layers: [...written, left] },
    ...{ target: digestOf(bytes), size: bytes.byteLength },
  }
  const { repository, mediaType } = made
  await on.catalog.links.record(repository, [{ digest: digest(OWN), size: 9, standing: 'proven' }])
  await on.sidecars.update(stat.digest, () => ({
    ...stat,
    mediaType,
    places: [{ ...repository, tags: {} }],
    conversion: made,
  }))
  await on.catalog.publish(made)
  return stat.digest
}

/** Everything a catalog can be asked, but for times of use. */
async function answers(catalog: Catalog, digests: readonly ReturnType<typeof digest>[]) {
  const sources = Array.from({ length: 4 }, (_, i) => `source ${i}`)
  const converted = sources.map((source) => layer(`${source} layer`, 'x layer'))
  return {
    tags: await toArray(catalog.tags.list()),
    holders: await Promise.all(digests.map((one) => catalog.links.holders(one))),
    images: new Set(await catalog.conversions.listImages({})),
    layers: await Promise.all(converted.map((one) => catalog.conversions.findLayer(one))),
    target: await catalog.conversions.findLayerByTarget(digest('x layer')),
    made: await catalog.links.holders(digest('x layer')),
    own: await catalog.links.holders(digest(OWN)),
    ownRecipe: await catalog.conversions.findLayerByTarget(digest(OWN)),
    makers: await catalog.conversions.listImages({ output: digest(OWN) }),
    platforms: await Promise.all(REPOSITORIES.map((one) => catalog.platforms.list(one, 0))),
  }
}

function repositoryAt(index: number): Repository {
  return REPOSITORIES[index] ?? { upstream: '', name: '' }
}

async function removeCatalog(data: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) {
    await rm(join(data, `catalog.sqlite${suffix}`), { force: true })
  }
}

async function overwrite(path: string, at: number): Promise<void> {
  const handle = await open(path, 'r+')
  await handle.write(Buffer.alloc(4_096 * 4, 0xa5), 0, 4_096 * 4, at)
  await handle.close()
}

describe('a catalog of an older schema', () => {
  it('is told by the store what conversions made, also by sidecars that do not list it', async () => {
    store = await diskStore(CLOCK)
    const { data } = store
    await perform(store, [{ kind: 'convert', source: 1 }])
    const [made] = await store.catalog.conversions.listImages({})
    if (made === undefined) throw new Error('an image has been converted')
    const sidecar = layoutOf(data).sidecar(made.target)

    store = await store.reopen(async () => {
      const { outputs: _, ...older } = recorded(made)
      const text = parseSummedJson(await readFile(sidecar, 'utf8'))
      await writeFile(sidecar, summedJson({ ...text, conversion: older }))
      await olderCatalog(data, () => undefined)
    })

    expect(await store.catalog.conversions.listImages({ output: digest('x layer') })).toEqual([
      made,
    ])
  })

  it('calls the source’s own again what a format had left as it was', async () => {
    store = await diskStore(CLOCK)
    const own = digest('own')

    store = await store.reopen(() =>
      olderCatalog(store?.data ?? '', (db) => {
        const bytes = Buffer.from(own.slice(7), 'hex')
        db.exec("INSERT INTO repositories VALUES (1, 'docker.io', 'library/alpine')")
        const row = [bytes, 1, 3, null, 2, 0, 5]
        const sum = sumOfValues('docker.io', 'library/alpine', bytes, 3, null, 2, 0, 5)
        db.prepare('INSERT INTO links VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(...row, sum)
        const recipe = [bytes, 'estargz', '{}', 1, bytes, 3, bytes, 9, '{}', 'why']
        db.prepare('INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
          ...recipe,
          sumOfValues(...recipe),
        )
      }),
    )

    expect(await store.catalog.links.holders(own)).toMatchObject([{ standing: 'proven', size: 3 }])
  })
})

async function olderCatalog(data: string, fill: (db: Sqlite.Database) => void): Promise<void> {
  await removeCatalog(data)
  const db = new Sqlite(layoutOf(data).catalog)
  db.function('row_sum', { deterministic: true, varargs: true }, sumOfValues)
  for (const sql of MIGRATIONS.slice(0, 2)) db.exec(sql)
  db.pragma('user_version = 2')
  fill(db)
  db.close()
}
