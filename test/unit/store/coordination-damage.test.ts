import { randomUUID } from 'node:crypto'
import { mkdtemp, open, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import { isCorruption } from '../../../src/store/failures.ts'
import { coordinationFile, openCoordination } from '../../../src/store/open-coordination.ts'
import { Coordination, makeAnew, makeSound } from '../../../src/store/sqlite-coordination.ts'

const DAMAGED = {
  kind: 'overloaded',
  reason: 'coordination-damaged',
  message: expect.stringMatching(
    /coordination\.sqlite is damaged or gone; all workers begin again/,
  ),
}

let data: string
let path: string
const server = randomUUID()
const onDamaged = vi.fn()
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'crossdock-coordination-'))
  path = coordinationFile(data)
  onDamaged.mockClear()
})
afterEach(async () => await rm(data, { recursive: true }))

async function worker(number: number) {
  const sibling = { server, number, of: 2, gone: [] }
  const catalog = { kind: 'sqlite' } as const
  const opened = await openCoordination({ catalog, data, clock: systemClock, sibling, onDamaged })
  if (opened === undefined) throw new Error('it has siblings')
  return opened
}

/** As a disk may that has lost a write, over all that there is. */
async function damage(): Promise<void> {
  for (const one of await readdir(data)) {
    if (one.endsWith('-shm')) continue
    await using file = await open(join(data, one), 'r+')
    const { size } = await file.stat()
    await file.write(Buffer.alloc(size, 0x5a), 0, size, 0)
  }
}

test('a damaged file makes way for a new one before anybody opens it', async () => {
  makeSound(path)
  await (await worker(1))[Symbol.asyncDispose]()
  await damage()
  await writeFile(`${path}-wal`, 'of the damaged one')

  makeSound(path)

  await using one = await worker(1)
  expect(await one.leases.acquire('x', 1_000)).toBeDefined()
  expect(onDamaged).not.toHaveBeenCalled()
})

test('a sound file stays, so that who is left of a server before finds its leases ended', async () => {
  await using left = await worker(1)
  const lease = await left.leases.acquire('x', 60_000)

  makeSound(path)
  const sibling = { server: randomUUID(), number: 1, of: 2, gone: [] }
  const catalog = { kind: 'sqlite' } as const
  const next = await openCoordination({ catalog, data, clock: systemClock, sibling })

  expect(await left.leases.isCurrent('x', lease?.token ?? 0)).toBe(false)
  await next?.[Symbol.asyncDispose]()
})

test('a file that is damaged while it is used is told of, in words that are not about the catalog', async () => {
  makeSound(path)
  await using one = await worker(1)
  const heard = vi.fn()
  using _ = await one.notices.subscribe('x', heard)
  using other = Coordination.open(path)
  other.run('DROP TABLE leases')

  const failed = await one.leases.acquire('x', 1_000).catch((error: unknown) => error)

  expect(failed).toMatchObject(DAMAGED)
  expect(isCorruption(failed)).toBe(false)
  expect(onDamaged).toHaveBeenCalled()
})

test('who listens while it is damaged says so by itself, and stays alive', async () => {
  makeSound(path)
  await using one = await worker(1)
  using _ = await one.notices.subscribe('x', () => undefined)
  using other = Coordination.open(path)

  other.run('DROP TABLE notices')

  await expect.poll(() => onDamaged.mock.calls.length).toBeGreaterThan(1)
})

test('who begins beside others with a file that is damaged, or gone, says so and makes none', async () => {
  makeSound(path)
  await writeFile(path, Buffer.alloc(8_192, 0x5a))
  await expect(worker(3)).rejects.toMatchObject(DAMAGED)
  await rm(path)
  await expect(worker(3)).rejects.toMatchObject(DAMAGED)

  expect(onDamaged).toHaveBeenCalledTimes(2)
  expect(await readdir(data)).not.toContain('coordination.sqlite')
  makeAnew(path)
  await using three = await worker(3)
  expect(await three.leases.acquire('x', 1_000)).toBeDefined()
})

test('a file that was emptied is a new one', async () => {
  makeSound(path)
  await truncate(path, 0)

  makeSound(path)

  await using one = await worker(1)
  await one.check()
})
