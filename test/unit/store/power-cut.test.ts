/** A catalog that lost its youngest rows while everything else had reached the disk. */
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { Repository } from '../../../src/oci/repository.ts'
import type { Catalog } from '../../../src/ports/catalog.ts'
import { toArray } from '../../contract/blob-store.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'
import { cutPower } from '../../helpers/power-cut.ts'
import { StoreProcess } from '../../helpers/store-child.ts'

const ALPINE: Repository = { upstream: 'docker.io', name: 'library/alpine' }

let store: DiskStore | undefined
let child: StoreProcess | undefined

afterEach(async () => {
  await child?.kill()
  await store?.[Symbol.asyncDispose]()
  store = undefined
})

describe('a power cut', () => {
  it.each([
    ['all of the WAL', 0],
    ['half of the WAL', 0.5],
    ['the end of the WAL', 0.9],
  ])('that costs %s costs no tag and no link', async (_, kept) => {
    store = await diskStore()
    const { data } = store
    child = StoreProcess.start(data, 'churn', 'cut')
    const stored = await child.saysTimes('stored', 6)
    await child.kill()
    // Closed before it is cut, for a connection of this process would write the WAL back.
    store = await store.reopen(async () => undefined)
    const before = await answers(store.catalog, stored)
    expect(before.found.every((link) => link?.standing === 'proven')).toBe(true)

    child = StoreProcess.start(data, 'churn', 'again')
    const more = await child.saysTimes('stored', 6)
    store = await store.reopen(async () => {
      await child?.kill()
      await cutPower(data, kept)
    })

    const after = await answers(store.catalog, [...stored, ...more])
    expect(after.found.every((link) => link?.standing === 'proven')).toBe(true)
    expect(after.tags.map(({ digest }) => digest)).toEqual(
      expect.arrayContaining(more.map(digestIn)),
    )
  })

  it('is looked for once, and never after an end in order', async () => {
    store = await diskStore()
    const { data } = store
    const mark = join(data, 'catalog.sqlite.open')
    expect(existsSync(mark)).toBe(true)
    const boot = await readFile(mark, 'utf8')

    store = await store.reopen(async () => {
      expect(existsSync(mark)).toBe(false)
    })
    store = await store.reopen(() => writeFile(mark, 'another boot'))

    expect(await readFile(mark, 'utf8')).toBe(boot)
  })
})

it('finds a link again that only the store knows, and lets nothing go because a row is gone', async () => {
  store = await diskStore()
  const { data } = store
  const digest = digestOf(Buffer.from('blob'))
  await store.catalog.links.record(ALPINE, [{ digest, size: 4, standing: 'proven' }])
  store = await store.reopen(() => loseRows(data))
  expect(await store.catalog.retention.describe(digest)).toMatchObject({ role: 'layer' })
  store = await store.reopen(() => loseRows(data))
  expect(await store.catalog.links.find(ALPINE, digest)).toMatchObject({ standing: 'proven' })
  expect(await store.catalog.links.find({ ...ALPINE, name: 'evil' }, digest)).toBeUndefined()
})

async function loseRows(data: string): Promise<void> {
  const { default: Sqlite } = await import('better-sqlite3')
  const db = new Sqlite(join(data, 'catalog.sqlite'))
  db.exec('DELETE FROM links')
  db.close()
  await rm(join(data, 'catalog.sqlite.open'), { force: true })
}

async function answers(catalog: Catalog, stored: readonly string[]) {
  return {
    tags: await toArray(catalog.tags.list()),
    found: await Promise.all(stored.map((line) => catalog.links.find(ALPINE, digestIn(line)))),
  }
}

function digestIn(line: string): Digest {
  return line.split(' ')[1] as Digest
}
