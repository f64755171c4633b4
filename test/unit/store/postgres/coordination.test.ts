import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import { openPostgresCoordination } from '../../../../src/store/postgres/open.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

describe.skipIf(!hasPostgres)('replicas on one PostgreSQL', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  it('says that notices may have been missed when the connection broke, and goes on', async () => {
    const { url, client } = database
    await using one = await openPostgresCoordination({ url, clock: systemClock })
    const heard: string[] = []
    let next = Promise.withResolvers<void>()
    using _ = await one.notices.subscribe('x', (notice) => {
      heard.push(notice.kind === 'told' ? notice.text : notice.kind)
      next.resolve()
    })

    await client.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    )
    await next.promise
    next = Promise.withResolvers()
    await one.notices.publish('x', 'again')
    await next.promise

    expect(heard).toEqual(['gap', 'again'])
  })

  it('hears on whatever others say on its channel, who may be anybody that connects', async () => {
    const { url, client } = database
    await using one = await openPostgresCoordination({ url, clock: systemClock })
    const heard: string[] = []
    const last = Promise.withResolvers<void>()
    using _ = await one.notices.subscribe('x', (notice) => {
      heard.push(notice.kind === 'told' ? notice.text : notice.kind)
      if (heard.at(-1) === 'own') last.resolve()
    })

    await client.query('NOTIFY crossdock')
    const others = ['hello', '{', 'null', '7', '{"x":"y"}', '[]', '["x"]', '["x",1]', '["x","y",2]']
    for (const text of [...others, `${'['.repeat(7_000)}`]) {
      await client.query("SELECT pg_notify('crossdock', $1)", [text])
    }
    await one.notices.publish('x', 'own')
    await last.promise

    expect(heard).toEqual(['own'])
  })
})
