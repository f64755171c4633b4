/** `crossdock migrate`: killed at every kind of step, while the store is served; afterwards the shared pair serves the same. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { Migration, STEPS } from '../helpers/migration.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { digestsOnS3, freshPlace, hasS3 } from '../helpers/s3-store.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']

/** S3 takes larger ones in parts. */
const LARGE = 9 * 1024 * 1024

describe.skipIf(!hasPostgres || !hasS3)('an embedded store', () => {
  let origin: FakeRegistry
  let migration: Migration
  let old: TestProxy

  beforeAll(async () => {
    origin = await FakeRegistry.start()
    migration = await Migration.open(origin)
    old = await TestProxy.start({ registry: origin, config: { cache: { tagWindow: '1d' } } })
    migration.from = old.data
    await origin.pushImage('move/me', '1', { layers: [{ size: LARGE }, {}] })
  }, START_MS)

  afterAll(async () => {
    await old?.[Symbol.asyncDispose]()
    await migration?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('is moved while it is served, whatever kills the command, and serves the same from there', async () => {
    const before: object[] = []
    for (const form of FORMS) before.push(bytesOf(await pull(old.base, 'move/me', form)))
    expect((await migration.run('pin', 'origin/move/me:1-zstd')).status).toBe(0)

    const look = await migration.run('migrate', '--dry-run', '--json')
    expect(look).toMatchObject({ status: 0 })
    expect(JSON.parse(look.stdout).left.blobs).toBeGreaterThan(5)
    expect(await digestsOnS3(migration.place, '')).toEqual(new Map())
    for (const step of STEPS) expect([step, await migration.runUntil(step)]).toEqual([step, true])
    expect(await migration.killWhileItMakesTheCatalog()).toBe(true)
    expect(await migration.run('migrate')).toMatchObject({ status: 0 })
    for (const [key, digest] of await digestsOnS3(migration.place, 'blobs/')) {
      expect(key).toContain(digest.slice('sha256:'.length))
    }

    await origin.pushImage('move/late', '1')
    const late = bytesOf(await pull(old.base, 'move/late', '1-zstd'))
    await old.stop()
    const rest = await migration.run('migrate')
    expect(rest.stdout).toContain('start a server with the new configuration')
    const again = JSON.parse((await migration.run('migrate', '--json')).stdout)
    expect([again.moved.blobs, again.left.blobs, again.lost]).toEqual([0, 0, []])

    await using moved = await TestProxy.start({
      registry: origin,
      config: { store: migration.storeAt(migration.place), cache: { offline: true } },
      env: S3_CREDENTIALS,
    })
    for (const [i, form] of FORMS.entries()) {
      const image = await pull(moved.base, 'move/me', form)
      expect(bytesOf(image)).toEqual(before[i])
      if (form !== '1') expect(image.conversion).toMatch(/^hit/)
    }
    expect(bytesOf(await pull(moved.base, 'move/late', '1-zstd'))).toEqual(late)
    const listed = await runCommand(
      process.execPath,
      [join(ROOT, 'src/main.ts'), 'list', '--json', '--config', moved.crossdock.configFile],
      { env: S3_CREDENTIALS },
    )
    expect(listed.stdout).toMatch(/"pinned": true/)
  }, 300_000)

  test('goes nowhere where another store lies, nor without credentials', async () => {
    await using other = await TestProxy.start({ registry: origin })
    await origin.pushImage('other', '1')
    await pull(other.base, 'other', '1')
    const words = await migration.command(['migrate'], migration.place, other.data)
    const taken = await runCommand(process.execPath, words, { env: S3_CREDENTIALS })
    expect(taken.status).toBe(1)
    expect(taken.stderr).toContain("already holds another store's data; choose another bucket")

    const env = {
      ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
      ...{ AWS_EC2_METADATA_DISABLED: 'true', HOME: migration.folder },
    }
    const unknown = await runCommand(process.execPath, words, { env })
    expect(unknown.status).toBe(1)
    expect(unknown.stderr).toContain('there are no credentials; set AWS_ACCESS_KEY_ID')
  })

  test.each(['migrate --dry-run', 'migrate'])(
    'is not begun to be moved where PostgreSQL will not have it (%s)',
    async (words) => {
      const fresh = await freshPlace()
      const line = await migration.command(words.split(' '), fresh)
      const store = { ...migration.storeAt(fresh), catalog: migration.postgres.url('no') }
      const other = { data: join(migration.folder, 'new'), store }
      await writeFile(join(migration.folder, 'store.yaml'), JSON.stringify(other))
      const found = await runCommand(process.execPath, line, { env: S3_CREDENTIALS })
      expect(found.status).toBe(1)
      expect(found.stderr).toContain('there is no such database')
      expect(await digestsOnS3(fresh, '')).toEqual(new Map())
    },
  )

  test('is moved to S3 alone', async () => {
    const file = join(migration.folder, 'disk.yaml')
    await writeFile(file, JSON.stringify({ data: join(migration.folder, 'elsewhere') }))
    const [main, , , own] = await migration.command(['migrate'])
    const words = [main ?? '', 'migrate', '--config', own ?? '', '--to', file]
    const found = await runCommand(process.execPath, words)
    expect(found.status).toBe(2)
    expect(found.stderr).toContain('keeps its blobs on a disk')
  })
})

function bytesOf({ digest, bytes, layers }: PulledImage): object {
  return { digest, document: digestOf(bytes), layers: layers.map((layer) => layer.digest) }
}
