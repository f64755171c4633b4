import {
  appendFile,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import type { Digest } from '../../../src/oci/digest.ts'
import { layoutOf } from '../../../src/store/layout.ts'
import { collect, put, randomBytes } from '../../contract/blob-store.ts'
import { type DiskStore, diskStore } from '../../helpers/disk-store.ts'

let store: DiskStore | undefined

afterEach(async () => {
  await store?.[Symbol.asyncDispose]()
  store = undefined
})

async function start(): Promise<DiskStore> {
  store = await diskStore()
  return store
}

it('lays blobs out as the design says, readable by nobody else', async () => {
  const { blobs, data } = await start()
  const { digest } = await put(blobs, Buffer.from('hello'))

  const hex = digest.slice('sha256:'.length)
  const path = join(data, 'blobs', 'sha256', hex.slice(0, 2), hex)
  expect(await readFile(path, 'utf8')).toBe('hello')
  expect((await stat(path)).mode & 0o077).toBe(0)
})

it('leaves no temp file behind after commit, abort and refusal', async () => {
  const { blobs, data } = await start()
  await put(blobs, randomBytes(10))
  const aborted = await blobs.create({})
  await aborted.write(randomBytes(10))
  await aborted.abort(new Error('enough'))
  const refused = await blobs.create({ size: 1 })
  await refused.write(randomBytes(2)).catch(() => undefined)

  expect(await readdir(join(data, 'tmp'))).toEqual([])
})

it('moves rotten bytes into quarantine on the first full read after a start', async () => {
  const first = await start()
  const bytes = randomBytes(600_000)
  const { digest } = await put(first.blobs, bytes)
  const { blobs, data } = await reopen(first, () => flipByte(first.data, digest, 599_999))
  const seen: Uint8Array[] = []

  const read = async () => {
    for await (const chunk of blobs.read(digest)) seen.push(chunk)
  }
  await expect(read()).rejects.toMatchObject({ kind: 'badDigest' })

  expect(Buffer.concat(seen).byteLength).toBeLessThan(600_000)
  expect(await blobs.stat(digest)).toBeUndefined()
  expect(await readdir(join(data, 'quarantine'))).toEqual([digest.replace(':', '-')])
  expect(await put(blobs, bytes)).toEqual({ digest, size: 600_000 })
  expect(await collect(blobs.read(digest))).toEqual(bytes)
})

it('verifies again when the file has changed under it', async () => {
  const { blobs, data } = await start()
  const { digest } = await put(blobs, randomBytes(1_000))
  await collect(blobs.read(digest))
  await flipByte(data, digest, 0)

  await expect(collect(blobs.read(digest))).rejects.toMatchObject({ kind: 'badDigest' })
})

it('verifies again when the size has changed and the time was set back', async () => {
  const { blobs, data } = await start()
  const { digest } = await put(blobs, randomBytes(1_000))
  const path = layoutOf(data).blob(digest)
  const { atime, mtime } = await stat(path)
  await appendFile(path, 'x')
  await utimes(path, atime, mtime)

  await expect(collect(blobs.read(digest))).rejects.toMatchObject({ kind: 'badDigest' })
})

it('does not hash hot reads again', async () => {
  const { blobs, data } = await start()
  const bytes = randomBytes(1_000)
  const { digest } = await put(blobs, bytes)
  const path = layoutOf(data).blob(digest)
  const { mtimeNs } = await stat(path, { bigint: true })
  await flipByte(data, digest, 0)
  const seconds = Number(mtimeNs / 1_000n) / 1e6
  await utimes(path, seconds, seconds)
  const isHidden = (await stat(path, { bigint: true })).mtimeNs === mtimeNs

  // Only where the file system keeps no finer time than utimes sets can the change be hidden at all.
  const read = collect(blobs.read(digest))
  if (isHidden) expect((await read)[0]).not.toBe(bytes[0])
  else await expect(read).rejects.toMatchObject({ kind: 'badDigest' })
})

it('closes its files when readers leave early', async () => {
  const { blobs } = await start()
  const bytes = randomBytes(3_000_000)
  const { digest } = await put(blobs, bytes)
  const before = await openFiles()
  const writer = await blobs.create({ size: bytes.byteLength + 1 })
  await writer.write(bytes)

  for (let i = 0; i < 20; i += 1) {
    for await (const _ of blobs.read(digest)) break
    for await (const _ of writer.read()) break
  }
  await writer.abort(new Error('enough'))

  expect(await openFiles()).toEqual(before)
})

it('lets a reader of a growing blob finish after the store deleted it', async () => {
  const { blobs } = await start()
  const bytes = randomBytes(2_000_000)
  const writer = await blobs.create({ size: bytes.byteLength })
  await writer.write(bytes)
  const reader = writer.read()[Symbol.asyncIterator]()
  const first = await reader.next()
  const { digest } = await writer.commit()
  await blobs.delete(digest)

  const rest = await collect({ [Symbol.asyncIterator]: () => reader })
  expect(Buffer.concat([first.value ?? Buffer.alloc(0), rest]).equals(bytes)).toBe(true)
})

it('ignores files in the blob folders that are no blobs', async () => {
  const { blobs, data } = await start()
  await mkdir(join(data, 'blobs', 'sha256', 'ab'), { recursive: true })
  await writeFile(join(data, 'blobs', 'sha256', 'ab', 'notes.txt'), 'x')
  await writeFile(join(data, 'blobs', 'sha256', 'README'), 'x')

  for await (const found of blobs.list()) expect.unreachable(found.digest)
})

it('says what to do when the data folder cannot be written', async () => {
  const { blobs, data } = await start()
  await rm(join(data, 'tmp'), { recursive: true })

  await expect(blobs.create({})).rejects.toThrow(/cannot begin blob/)
  await mkdir(join(data, 'tmp'))
})

async function reopen(from: DiskStore, between: () => Promise<void>): Promise<DiskStore> {
  store = await from.reopen(between)
  return store
}

async function flipByte(data: string, digest: Digest, at: number): Promise<void> {
  const handle = await open(layoutOf(data).blob(digest), 'r+')
  const byte = Buffer.alloc(1)
  await handle.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await handle.write(byte, 0, 1, at)
  await handle.close()
}

async function openFiles(): Promise<number> {
  return (await readdir('/proc/self/fd')).length
}
