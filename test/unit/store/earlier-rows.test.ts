/** Data folders that earlier builds wrote: recipes and options as texts, everything known of a layer in one map. */
import { writeFile } from 'node:fs/promises'
import Sqlite from 'better-sqlite3'
import { afterEach, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { layoutOf } from '../../../src/store/layout.ts'
import { sumOfValues } from '../../../src/store/sqlite-sums.ts'
import { summedJson } from '../../../src/store/summed-json.ts'
import { put } from '../../contract/blob-store.ts'
import { digest } from '../../contract/catalog.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'

const EMPTY = digestOf(new Uint8Array(0))
const RECIPE =
  '{"profile":"lazy","format":"estargz","revision":2,"options":{"chunkSize":4194304,"level":9},"dialect":"oci","left":["sha256:' +
  `${'a'.repeat(64)}"]}`

/** Rows of `layers` by what they are called here: options, facts and why it fell back. */
const LAYERS = {
  changed: ['{"level":9}', `{"tocDigest":"x","sourceDiffId":"${digest('tar')}"}`, null],
  fallen: [
    '{"level":9}',
    `{"sourceDiffId512":"${digestOf(Buffer.from('tar'), 'sha512')}","fallbackRevision":"7"}`,
    'a path that is there twice',
  ],
  noted: ['{}', '{"note":"without its xattrs"}', null],
  refused: ['{"b":"x","level":9}', '{"refused":"a sparse file"}', null],
} as const

let store: DiskStore | undefined
afterEach(async () => {
  await store?.[Symbol.asyncDispose]()
  store = undefined
})

function bytesOf(one: Digest): Buffer {
  return Buffer.from(one.slice(one.indexOf(':') + 1), 'hex')
}

function rowOf(name: keyof typeof LAYERS) {
  const [options, facts, fallback] = LAYERS[name]
  const source = bytesOf(digest(name))
  const target = name === 'refused' ? source : bytesOf(digest(`made of ${name}`))
  const known = [source, 'estargz', options, 2, target, 5, bytesOf(digest('unpacked'))]
  return [...known, 9, facts, fallback] as const
}

function insertLayer(db: Sqlite.Database, ...row: readonly unknown[]): void {
  const sql = 'INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'
  db.prepare(sql).run(...row, sumOfValues(...row))
}

function rowsOf(data: string): unknown {
  const db = new Sqlite(layoutOf(data).catalog)
  try {
    return db.prepare('SELECT * FROM layers ORDER BY source').all()
  } finally {
    db.close()
  }
}

test('layers of an earlier build are read, and written again to the letter', async () => {
  store = await diskStore(systemClock)
  const { data } = store
  store = await store.reopen(async () => {
    const db = new Sqlite(layoutOf(data).catalog)
    for (const name of Object.keys(LAYERS)) insertLayer(db, ...rowOf(name as keyof typeof LAYERS))
    db.close()
  })
  const before = rowsOf(data)
  const { conversions } = store.catalog
  const all = await Promise.all(
    Object.keys(LAYERS).map(async (name) => (await conversions.listLayers(digest(name)))[0]),
  )

  expect(all).toMatchObject([
    { options: { level: 9 }, facts: { tocDigest: 'x' }, sourceDiffId: digest('tar') },
    {
      facts: {},
      sourceDiffId512: digestOf(Buffer.from('tar'), 'sha512'),
      fallback: { why: 'a path that is there twice', revision: 7 },
    },
    { options: {}, facts: {}, note: 'without its xattrs' },
    { options: { b: 'x', level: 9 }, refused: 'a sparse file', size: 5 },
  ])
  for (const one of all) if (one !== undefined) await conversions.recordLayer(one)
  expect(rowsOf(data)).toEqual(before)
})

test('a piece without bytes, by which SOCI once said that a layer is refused, is a refused layer', async () => {
  store = await diskStore(systemClock)
  const { data } = store
  store = await store.reopen(async () => {
    const db = new Sqlite(layoutOf(data).catalog)
    const known = [bytesOf(digest('zstd layer')), 'ztoc', '{"spanSize":4194304}', 1]
    const facts = '{"refused":"the layer is compressed with zstd"}'
    insertLayer(db, ...known, bytesOf(EMPTY), 0, bytesOf(digest('tar')), 9, facts, null)
    db.close()
  })
  const { conversions } = store.catalog

  expect(await conversions.listLayers(digest('zstd layer'))).toMatchObject([
    { encoding: 'ztoc', refused: 'the layer is compressed with zstd' },
  ])
  expect(await conversions.findLayerByTarget(EMPTY)).toBeUndefined()
})

test('a sidecar of an earlier build tells how its manifest was made, but for pieces without bytes', async () => {
  store = await diskStore(systemClock)
  const { digest: target, size } = await put(store.blobs, Buffer.from('{"layers":[]}'))
  const layers = (['changed', 'refused'] as const).map((name) => {
    const [options, facts] = LAYERS[name]
    const known = { source: digest(name), encoding: 'estargz', options, revision: 2 }
    const unpacked = { size: 5, diffId: digest('unpacked'), uncompressedSize: 9 }
    return { ...known, target: digest('made'), ...unpacked, facts: JSON.parse(facts) as object }
  })
  const repository = { upstream: 'docker.io', name: 'library/alpine' }
  const text = summedJson({
    ...{ digest: target, size, mediaType: 'application/vnd.oci.image.manifest.v1+json' },
    places: [{ ...repository, tags: {} }],
    conversion: {
      ...{ repository, source: digest('source'), recipe: RECIPE, profile: 'lazy', layers },
      ...{ convertedAt: 1, seconds: 1, target, size, outputs: [] },
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
    },
  })
  await store.sidecars.update(target, () => ({
    ...{ digest: target, size, mediaType: 'x', places: [] },
  }))
  await writeFile(layoutOf(store.data).sidecar(target), text)

  const { conversion } = (await store.sidecars.read(target)) ?? {}
  expect(conversion?.recipe).toEqual(JSON.parse(RECIPE))
  expect(conversion?.layers).toMatchObject([
    { source: digest('changed'), options: { level: 9 }, sourceDiffId: digest('tar') },
  ])
  expect(conversion?.layers).toHaveLength(1)
})
