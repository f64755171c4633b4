/** A catalog whose server has lost what it had said: a standby was promoted that lagged, or a backup came back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../../../src/clock.ts'
import {
  openPostgresCatalog,
  openPostgresCoordination,
} from '../../../../src/store/postgres/open.ts'
import { digest, image } from '../../../contract/catalog.ts'
import {
  hasPostgres,
  START_MS,
  type TestDatabase,
  testDatabase,
} from '../../../helpers/postgres.ts'

const OURS = { upstream: 'docker.io', name: 'library/alpine' }
const FOREIGN = { upstream: 'docker.io', name: 'somebody/else' }

describe.skipIf(!hasPostgres)('a catalog whose server has lost what it had said', () => {
  let database: TestDatabase
  beforeAll(async () => {
    database = await testDatabase()
  }, START_MS)
  afterAll(async () => await database[Symbol.asyncDispose]())

  it('writes into no other repository whose number it remembers', async () => {
    await using one = await database.open()
    await one.tags.record(OURS, '1', { digest: digest('lost'), checkedAt: 1 })
    const { client } = database
    const { rows } = await client.query('SELECT id FROM crossdock.repositories')
    const lost = rows[0]?.id
    await client.query('DELETE FROM crossdock.tags; DELETE FROM crossdock.repositories')
    // As a server counts on that has never heard of it.
    await client.query(`ALTER SEQUENCE crossdock.repositories_id_seq RESTART WITH ${lost}`)
    const url = database.url
    await using other = await openPostgresCatalog({ url, clock: systemClock })
    await other.tags.record(FOREIGN, '1', { digest: digest('foreign'), checkedAt: 1 })

    const made = image('ours', 'ours target')
    await one.publish(made)
    await one.tags.record(OURS, '1', { digest: digest('ours'), checkedAt: 2 })
    await one.platforms.learn(OURS, { os: 'linux', architecture: 'amd64' }, 2)
    expect(await one.conversions.forgetImage(made)).toBe(true)
    expect(await one.tags.forget(OURS, '1')).toBe(true)

    expect((await other.tags.find(FOREIGN, '1'))?.digest).toBe(digest('foreign'))
    expect(await other.links.find(FOREIGN, made.target)).toBeUndefined()
    expect((await other.links.find(OURS, made.target))?.standing).toBe('made')
    expect(await other.platforms.list(FOREIGN, 0)).toEqual([])
    expect(await other.platforms.list(OURS, 0)).toHaveLength(1)
  })

  it('gives no token again, also while its clock is behind', async () => {
    await using coordination = await openPostgresCoordination({
      url: database.url,
      clock: systemClock,
    })
    const { leases } = coordination
    const { client } = database
    await (await leases.acquire('lost', 60_000))?.release()
    const hour = 3_600_000_000
    await client.query(`UPDATE crossdock.leases SET token = token + ${hour} WHERE name = 'lost'`)
    await client.query(
      "CREATE TEMPORARY TABLE kept AS SELECT * FROM crossdock.leases WHERE name = 'lost'",
    )

    const before = await leases.acquire('lost', 60_000)
    await client.query("DELETE FROM crossdock.leases WHERE name = 'lost'")
    await client.query('INSERT INTO crossdock.leases SELECT * FROM kept')
    const after = await leases.acquire('lost', 60_000)

    expect(before?.token).toBeDefined()
    expect(after?.token).not.toBe(before?.token)
    expect(await before?.renew(60_000)).toBe(false)
    expect(await leases.isCurrent('lost', before?.token ?? 0)).toBe(false)
    expect(await leases.isCurrent('lost', after?.token ?? 0)).toBe(true)
  })
})
