import { setImmediate as soon } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import { openDatabase } from '../../../../src/store/postgres/open.ts'
import { StoreOutages } from '../../../../src/store/reach.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

/** How long a session may wait within a transaction, ms. */
const IDLE_MS = 50

/** As by SIGSTOP, for whoever is asked meanwhile. */
function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 * IDLE_MS)
}

describe.skipIf(!hasPostgres)('a process that stands still within a transaction', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  it.each([
    ['asks on at once', async () => undefined],
    ['hears of it first', async () => await soon()],
  ])('is ended by PostgreSQL, and does all of it once more: %s', async (_, pause) => {
    const { url } = database
    const storeFailed = vi.fn()
    const events = { storeFailed, storeAway: () => undefined, storeBack: () => undefined }
    using outages = new StoreOutages({ clock: systemClock, events })
    const reach = outages.add('catalog', url)
    const limits = { statementMs: IDLE_MS }
    const { db } = await openDatabase({ url, clock: systemClock, limits, reach })
    await using __ = db
    let tries = 0

    const { rows } = await db.transaction(async (session) => {
      tries += 1
      await session.query('SELECT 1')
      if (tries === 1) standStill()
      await pause()
      await pause()
      return await session.query('SELECT 2 AS two')
    })

    expect([rows, tries]).toEqual([[{ two: 2 }], 2])
    expect(storeFailed).not.toHaveBeenCalled()
  })
})
