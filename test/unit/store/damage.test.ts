/** Rows that SQLite reads without complaint but nobody recorded: answered as before, never as they stand there. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import type { Catalog } from '../../../src/ports/catalog.ts'
import type { CatalogLoss } from '../../../src/store/live-catalog.ts'
import { openStore, type Store } from '../../../src/store/open.ts'
import { MIGRATIONS } from '../../../src/store/sqlite-schema.ts'
import { put, toArray } from '../../contract/blob-store.ts'
import { digest, image } from '../../contract/catalog.ts'

const ALPINE = { upstream: 'docker.io', name: 'library/alpine' }
const EVIL = { upstream: 'docker.io', name: 'evil/alpine' }
const TYPE = 'application/vnd.oci.image.manifest.v1+json'
const BLOB = digest('blob')
const MADE = image('source', 'x')

/** What decides an answer and is no key: found when it is read. */
const VALUES = {
  tags: ['digest', 'checked_at', 'sum'],
  links: ['size', 'media_type', 'standing', 'is_config', 'linked_at', 'sum'],
  layers: ['target', 'size', 'diff_id', 'uncompressed_size', 'facts', 'fallback', 'sum'],
  images: ['target', 'size', 'media_type', 'profile', 'layers', 'converted_at', 'seconds', 'sum'],
} as const

/** Keys, and what no answer needs: found at the start. */
const KEYS = {
  tags: ['tag', 'repository'],
  links: ['digest', 'repository'],
  layers: ['source', 'encoding', 'options', 'revision'],
  images: ['source', 'recipe', 'repository'],
  platforms: ['os', 'architecture', 'variant', 'os_version', 'used_at', 'repository'],
  repositories: ['upstream', 'name'],
  usage: ['digest', 'served_at'],
  released: ['digest', 'released_at'],
  chores: ['name', 'done_at'],
} as const

const pairs = (tables: Readonly<Record<string, readonly string[]>>) =>
  Object.entries(tables).flatMap(([table, columns]) =>
    columns.map((column): [string, string] => [table, column]),
  )

let data: string
let store: Store | undefined
let losses: CatalogLoss[]

beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'crossdock-damage-'))
  losses = []
})

afterEach(async () => {
  await store?.[Symbol.asyncDispose]()
  store = undefined
  await rm(data, { recursive: true, force: true })
})

async function open(checkedBytes?: number): Promise<Store> {
  const onCatalogReplaced = (loss: CatalogLoss) => void losses.push(loss)
  store = await openStore({
    data,
    clock: systemClock,
    onCatalogReplaced,
    ...(checkedBytes !== undefined && { checkedBytes }),
  })
  return store
}

describe('damage while the catalog is in use', () => {
  it.each(pairs(VALUES))('of %s.%s is answered as before', async (table, column) => {
    const { catalog, ...rest } = await open()
    await fill({ catalog, ...rest })
    const before = await answers(catalog)

    damage(table, column)
    await new Promise(setImmediate)

    expect(await answers(catalog)).toEqual(before)
    expect(losses).toEqual(['damaged'])
  })

  it('is repaired once for all who meet it', async () => {
    const opened = await open()
    await fill(opened)
    const before = await answers(opened.catalog)
    damage('tags', 'digest')
    damage('links', 'size')
    await new Promise(setImmediate)

    const all = await Promise.all(Array.from({ length: 20 }, () => answers(opened.catalog)))

    for (const one of all) expect(one).toEqual(before)
    expect(losses).toEqual(['damaged'])
  })

  it('is not written over as if it had been recorded', async () => {
    const { catalog, ...rest } = await open()
    await fill({ catalog, ...rest })
    damage('links', 'standing')
    await new Promise(setImmediate)

    await catalog.links.record(ALPINE, [{ digest: BLOB, size: 4, standing: 'named' }])

    expect((await catalog.links.find(ALPINE, BLOB))?.standing).toBe('proven')
  })

  it('that no request meets is found behind them, where the catalog was too large to read it first', async () => {
    const opened = await open()
    await fill(opened)
    const before = await answers(opened.catalog)
    await opened[Symbol.asyncDispose]()
    damage('tags', 'tag')

    const { catalog } = await open(0)

    await vi.waitFor(() => expect(losses).toEqual(['damaged']), 15_000)
    expect(await answers(catalog)).toEqual(before)
  })
})

describe('damage before the start', () => {
  it.each([...pairs(VALUES), ...pairs(KEYS)])('of %s.%s is found', async (table, column) => {
    const opened = await open()
    await fill(opened)
    const before = await answers(opened.catalog)
    await opened[Symbol.asyncDispose]()
    damage(table, column)

    const { catalog } = await open()

    expect(await answers(catalog)).toEqual(before)
    await expect(catalog.check()).resolves.toBeUndefined()
  })
})

it('gives a catalog of the first schema its sums', async () => {
  const old = new Sqlite(join(data, 'catalog.sqlite'))
  old.exec(MIGRATIONS[0] ?? '')
  old.pragma('user_version = 1')
  old.exec("INSERT INTO repositories VALUES (7, 'docker.io', 'library/alpine')")
  const bytes = Buffer.from(BLOB.slice(7), 'hex')
  old.prepare("INSERT INTO tags VALUES (7, '3', ?, 5)").run(bytes)
  old.prepare('INSERT INTO links VALUES (?, 7, 4, NULL, 1, 0, 9)').run(bytes)
  old.prepare('INSERT INTO usage VALUES (?, 11)').run(bytes)
  old.exec("INSERT INTO platforms VALUES (7, 'linux', 'arm64', 'v8', '')")
  old.close()

  const { catalog } = await open()

  expect(await catalog.tags.find(ALPINE, '3')).toEqual({ digest: BLOB, checkedAt: 5 })
  expect(await catalog.links.find(ALPINE, BLOB)).toEqual({
    ...{ digest: BLOB, size: 4, standing: 'proven' },
  })
  expect(await catalog.usage.find(BLOB)).toBe(11)
  // Nobody wrote down when it was used, so it counts as used just now.
  const lately = Date.now() - 60_000
  expect(await catalog.platforms.list(ALPINE, lately)).toEqual([
    { os: 'linux', architecture: 'arm64', variant: 'v8' },
  ])
  await store?.[Symbol.asyncDispose]()
  await open()
  expect(losses).toEqual([])
  expect(await store?.catalog.usage.find(BLOB)).toBe(11)
})

/** A manifest with a tag and a blob, one that was made from it, and some of everything else. */
async function fill({ blobs, sidecars, catalog }: Store): Promise<void> {
  const stat = await put(
    blobs,
    Buffer.from(JSON.stringify({ layers: [{ digest: BLOB, size: 4 }] })),
  )
  const tags = { '3': 1_000 }
  await sidecars.update(stat.digest, () => ({
    ...{ ...stat, mediaType: TYPE, places: [{ ...ALPINE, tags }] },
  }))
  await catalog.links.record(ALPINE, [{ ...stat, mediaType: TYPE, standing: 'proven' }])
  await catalog.links.record(ALPINE, [{ digest: BLOB, size: 4, standing: 'proven' }])
  await catalog.tags.record(ALPINE, '3', { digest: stat.digest, checkedAt: 1_000 })
  const bytes = Buffer.from('{"layers":[]}')
  await put(blobs, bytes)
  const made = { ...MADE, repository: ALPINE, target: digestOf(bytes), size: bytes.byteLength }
  const { target, size, mediaType } = made
  await sidecars.update(target, () => ({
    ...{ digest: target, size, mediaType, places: [{ ...ALPINE, tags: {} }], conversion: made },
  }))
  await catalog.publish(made)
  await catalog.platforms.learn(ALPINE, { os: 'linux', architecture: 'arm64', variant: 'v8' }, 1)
  await catalog.links.record(EVIL, [])
  catalog.usage.touch(BLOB, 5)
  await catalog.usage.flush()
  await catalog.retention.release([BLOB], 3)
  await catalog.retention.done('scrub', 4)
}

async function answers(catalog: Catalog) {
  const tag = await catalog.tags.find(ALPINE, '3')
  const images = await catalog.conversions.listImages({})
  const layers = MADE.layers
  return {
    tag,
    tags: await toArray(catalog.tags.list()),
    stranger: await catalog.tags.find(EVIL, '3'),
    links: await Promise.all(
      [BLOB, ...images.map((one) => one.target)].map((one) => catalog.links.find(ALPINE, one)),
    ),
    holders: await catalog.links.holders(BLOB),
    isProven: await catalog.links.isProvenAt('docker.io', BLOB),
    role: tag && (await catalog.retention.describe(tag.digest))?.role,
    images,
    image: await Promise.all(images.map((one) => catalog.conversions.findImage(one))),
    makers: await Promise.all(
      MADE.outputs.map(({ digest: output }) => catalog.conversions.listImages({ output })),
    ),
    layers: await Promise.all(layers.map((one) => catalog.conversions.findLayer(one))),
    targets: await Promise.all(
      layers.map((one) => catalog.conversions.findLayerByTarget(one.target)),
    ),
    platforms: await catalog.platforms.list(ALPINE, 0),
  }
}

/** Another value of the same type and shape, as a flipped bit leaves it. */
function damage(table: string, column: string): void {
  const db = new Sqlite(join(data, 'catalog.sqlite'))
  db.pragma('foreign_keys = OFF')
  db.function('flipped', (value: unknown) => flipped(value))
  db.exec(`UPDATE ${table} SET ${column} = flipped(${column})`)
  db.close()
}

function flipped(value: unknown): string | number | Uint8Array {
  if (typeof value === 'number') return value === 1 ? 2 : value + 16
  if (value instanceof Uint8Array) return value.map((byte, i) => (i === 7 ? byte ^ 0x10 : byte))
  const text = typeof value === 'string' && value !== '' ? value : 'a'
  return String.fromCharCode(text.charCodeAt(0) ^ 0x10) + text.slice(1)
}
