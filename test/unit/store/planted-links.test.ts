/** What another user of the machine can put into a data folder that is open to him. */
import { lchown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { EMBEDDED } from '../../../src/store/halves.ts'
import { holdStore } from '../../../src/store/hold.ts'
import { acquireServerLock } from '../../../src/store/lock.ts'
import { openStore } from '../../../src/store/open.ts'
import { localFolder } from '../../../src/store/s3/open.ts'

const SOMEBODY = 65_534

/** Nobody gets that far. */
const S3 = { bucket: 'images', prefix: '', endpoint: 'http://127.0.0.1:1' }

let folder: string
let data: string
let victim: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-planted-'))
  data = join(folder, 'data')
  victim = join(folder, 'victim')
  await mkdir(data)
  await mkdir(victim)
  await writeFile(join(victim, 'file'), 'precious')
})

afterEach(() => rm(folder, { recursive: true, force: true }))

const PLACES = ['tmp', 'blobs', 'sidecars', 'locks', 'quarantine', 'catalog.sqlite.open']

describe.skipIf(process.geteuid?.() !== 0)('a link that another user has planted', () => {
  test.each(PLACES)('as %s ends the start, and leaves what it leads to alone', async (place) => {
    await symlink(place.includes('.') ? join(victim, 'file') : victim, join(data, place))
    await lchown(join(data, place), SOMEBODY, SOMEBODY)

    const refusal = { kind: 'refused', reason: 'planted-link' }
    await expect(acquireServerLock(data)).rejects.toMatchObject(refusal)
    await expect(openStore({ data, clock: systemClock })).rejects.toMatchObject(refusal)
    expect(await readdir(victim)).toEqual(['file'])
  })

  test.each(['..', '.', 'owner', 'checked', 'tmp', 'catalog.sqlite'])(
    'as %s of what a store on S3 keeps here does the same',
    async (name) => {
      const path = join(localFolder(data, S3), name)
      await mkdir(dirname(path), { recursive: true })
      await symlink(victim, path)
      await lchown(path, SOMEBODY, SOMEBODY)
      const place = { ...EMBEDDED, blobs: { kind: 's3', ...S3 } } as const

      const refusal = { kind: 'refused', reason: 'planted-link' }
      await expect(holdStore({ data, place, clock: systemClock })).rejects.toMatchObject(refusal)
      await expect(openStore({ data, place, clock: systemClock })).rejects.toMatchObject(refusal)
      expect(await readdir(victim)).toEqual(['file'])
    },
  )
})

test('a folder of temp files that others use as well is swept of our own alone', async () => {
  await symlink(victim, join(data, 'tmp'))
  const old = '01234567-89ab-4cde-8f01-23456789abcd.1'
  await writeFile(join(victim, old), 'left over')

  const store = await openStore({ data, clock: systemClock })
  await store[Symbol.asyncDispose]()

  expect(await readdir(victim)).toEqual(['file'])
})
