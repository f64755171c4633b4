import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { acquireServerLock } from '../../../src/store/lock.ts'
import { collect, toArray } from '../../contract/blob-store.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'
import { StoreProcess } from '../../helpers/store-child.ts'

const ALPINE = { upstream: 'docker.io', name: 'library/alpine' }

let store: DiskStore | undefined
const children: StoreProcess[] = []

afterEach(async () => {
  for (const child of children.splice(0)) await child.kill()
  await store?.[Symbol.asyncDispose]()
  store = undefined
})

it('sweeps what a killed process left, and nothing of one that lives', async () => {
  store = await diskStore()
  const killed = start(store.data, 'half')
  await killed.says('half')
  const alive = start(store.data, 'half')
  await alive.says('half')
  await killed.kill()
  expect(await readdir(join(store.data, 'tmp'))).toHaveLength(2)

  store = await store.reopen()

  expect(await readdir(join(store.data, 'tmp'))).toHaveLength(1)
  await alive.kill()
  store = await store.reopen()
  expect(await readdir(join(store.data, 'tmp'))).toEqual([])
  expect(await toArray(store.blobs.list())).toEqual([])
})

it('shows only whole blobs and loses none that was acknowledged, whenever it is killed', async () => {
  store = await diskStore()
  for (let round = 1; round <= 4; round += 1) {
    const child = start(store.data, 'churn', String(round))
    const stored = await child.saysTimes('stored', round * 3)
    await child.kill()

    store = await store.reopen()

    expect(await readdir(join(store.data, 'tmp'))).toEqual([])
    for await (const { digest, size } of store.blobs.list()) {
      const bytes = await collect(store.blobs.read(digest))
      expect(digestOf(bytes)).toBe(digest)
      expect(bytes.byteLength).toBe(size)
    }
    for (const line of stored) {
      const digest = line.split(' ')[1] as Digest
      expect((await store.catalog.links.find(ALPINE, digest))?.standing).toBe('proven')
      expect(await store.blobs.stat(digest)).toBeDefined()
      expect(await store.sidecars.read(digest)).toBeDefined()
    }
  }
})

it('lets one server at a time use a data folder, until it dies', async () => {
  store = await diskStore()
  const { data } = store
  const server = start(data, 'serve')
  await server.says('ready')
  await expect(acquireServerLock(data)).rejects.toThrow(/another crossdock server already uses/)

  await server.kill()

  await using first = await acquireServerLock(data)
  await expect(acquireServerLock(data)).rejects.toThrow(/another crossdock server already uses/)
  void first
})

it('serves at once what another process commits', async () => {
  store = await diskStore()
  expect(await store.catalog.tags.find(ALPINE, 'new')).toBeUndefined()

  await start(store.data, 'tag', 'new').ended

  expect(await store.catalog.tags.find(ALPINE, 'new')).toEqual({
    digest: digestOf(Buffer.from('new')),
    checkedAt: 1,
  })
})

it('lets two processes write the same blobs', async () => {
  store = await diskStore()
  const codes = await Promise.all(
    [1, 2].map((seed) => start(store?.data ?? '', 'same', `${seed}`).ended),
  )

  expect(codes).toEqual([0, 0])
  const found = await toArray(store.blobs.list())
  expect(found).toHaveLength(30)
  for (const { digest } of found) {
    expect(digestOf(await collect(store.blobs.read(digest)))).toBe(digest)
  }
})

it('loses no place that two processes add to one sidecar', async () => {
  store = await diskStore()
  await Promise.all(['a', 'b'].map((seed) => start(store?.data ?? '', 'places', seed).ended))

  const sidecar = await store.sidecars.read(digestOf(Buffer.from('shared')))
  expect(sidecar?.places).toHaveLength(40)
})

function start(data: string, ...args: string[]): StoreProcess {
  const started = StoreProcess.start(data, ...args)
  children.push(started)
  return started
}
