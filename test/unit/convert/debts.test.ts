/** Originals that are owed to who was cut, at whichever process it tries again. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { Debts } from '../../../src/convert/debts.ts'
import type { Notices } from '../../../src/ports/leases.ts'
import { openSqliteCoordination } from '../../../src/store/open-coordination.ts'

const IMAGE = 'docker.io/library/app@sha256:00 zstd'

test('what one process owes, the others give, but for what is none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'crossdock-debts-'))
  const path = join(folder, 'coordination.sqlite')
  await using here = openSqliteCoordination(path, systemClock)
  await using there = openSqliteCoordination(path, systemClock)
  await using one = new Debts({ notices: here.notices, clock: systemClock })
  await using other = new Debts({ notices: there.notices, clock: systemClock })

  await there.notices.publish('owed-originals', 'no JSON')
  const strange = [
    { image: 1, reason: 'slow' },
    { image: 'a', reason: 'two\r\nlines' },
    { image: 'b', reason: 'x'.repeat(65) },
    { image: 'c'.repeat(601), reason: 'slow' },
  ]
  for (const news of strange) {
    await there.notices.publish('owed-originals', JSON.stringify({ from: 'x', ...news }))
  }
  one.owe(IMAGE, 'slow')

  expect(one.find(IMAGE)).toBe('slow')
  await expect.poll(() => other.find(IMAGE)).toBe('slow')
  for (const { image } of strange) expect(other.find(String(image))).toBeUndefined()
  await rm(folder, { recursive: true })
})

test('a process that cannot tell the others owes all the same, and asks again for their news', async () => {
  let asked = 0
  const notices: Notices = {
    publish: () => Promise.reject(new Error('away')),
    subscribe: () => {
      asked += 1
      return Promise.reject(new Error('away'))
    },
  }
  const clock = { ...systemClock, sleep: () => new Promise<void>((wake) => setImmediate(wake)) }
  await using debts = new Debts({ notices, clock })

  debts.owe(IMAGE, 'diff-id')

  expect(debts.find(IMAGE)).toBe('diff-id')
  await expect.poll(() => asked).toBeGreaterThan(2)
})
