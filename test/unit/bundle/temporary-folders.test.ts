import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeTemporary, sweepTemporaries } from '../../../src/bundle/temporary-folders.ts'

const DAY_S = 24 * 60 * 60

describe('temporary folders beside an output', () => {
  let folder: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-temporary-'))
  })

  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('stay as long as their process runs, and go with it', async () => {
    const own = basename(await makeTemporary(folder))
    const ended = own.replace(`-${process.pid}-`, '-4194999-')
    // The id of a process that runs was given before to another one.
    const reused = own.replace(/-(\d+)-([0-9a-f]{8})$/, '-1-$2')
    for (const name of [ended, reused]) await mkdir(join(folder, name))

    await sweepTemporaries(folder)

    expect(await readdir(folder)).toEqual([own])
  })

  it('of other machines stay for a week after they were touched', async () => {
    const own = basename(await makeTemporary(folder))
    const other = own.replace(/export-[0-9a-f]{12}/, 'export-0123456789ab')
    await mkdir(join(folder, other))
    await writeFile(join(folder, other, 'b.tar'), 'half')
    const now = Date.now()
    await utimes(join(folder, other), now / 1000 - 9 * DAY_S, now / 1000 - 9 * DAY_S)

    await sweepTemporaries(folder, now)
    expect(await readdir(folder)).toHaveLength(2)
    await sweepTemporaries(folder, now + 8 * DAY_S * 1000)
    expect(await readdir(folder)).toEqual([own])
  })

  it('are told from everything else by their whole name', async () => {
    for (const name of ['.crossdock-export-', '.crossdock-export-x-1-1-y', '.crossdock', 'b.tar']) {
      await mkdir(join(folder, name))
    }

    await sweepTemporaries(folder, Date.now() + 1e12)

    expect(await readdir(folder)).toHaveLength(4)
  })
})
