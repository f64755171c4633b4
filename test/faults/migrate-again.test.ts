/** `crossdock migrate` once more while both servers are there, and the way back to the old one, as docs/shared-stores.md describes it. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { Migration } from '../helpers/migration.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { hasS3 } from '../helpers/s3-store.ts'

describe.skipIf(!hasPostgres || !hasS3)('an embedded store that was moved', () => {
  let origin: FakeRegistry
  let migration: Migration
  let old: TestProxy
  let moved: TestProxy
  /** A command on the new store. */
  const there = async (...[name = '', ...words]: readonly string[]) => {
    const config = ['--config', moved.crossdock.configFile]
    const line = [join(ROOT, 'src/main.ts'), name, ...config, ...words]
    const done = await runCommand(process.execPath, line, { env: S3_CREDENTIALS })
    expect(done, done.stderr).toMatchObject({ status: 0 })
    return done.stdout
  }
  /** One on the old store. */
  const here = async (...words: readonly string[]) => {
    const done = await migration.run(...words)
    expect(done, done.stderr).toMatchObject({ status: 0 })
    return done.stdout
  }
  const listed = async () => {
    const rows: readonly { name: string; profile: string; pinned: boolean }[] = JSON.parse(
      await there('list', '--json'),
    )
    return rows.map(({ name, profile, pinned }) => `${name} ${profile}${pinned ? ' pinned' : ''}`)
  }

  beforeAll(async () => {
    origin = await FakeRegistry.start()
    migration = await Migration.open(origin)
    old = await TestProxy.start({ registry: origin, config: { cache: { tagWindow: '0s' } } })
    migration.from = old.data
    for (const name of ['a', 'b', 'c']) await origin.pushImage(`team/${name}`, '1')
    for (const name of ['a', 'b', 'c']) await pull(old.base, `team/${name}`, '1')
    await here('pin', 'origin/team/a:1', 'origin/team/c:1')
    await here('migrate')
    moved = await TestProxy.start({
      registry: origin,
      config: { store: migration.storeAt(migration.place) },
      env: S3_CREDENTIALS,
    })
  }, START_MS)

  afterAll(async () => {
    await moved?.[Symbol.asyncDispose]()
    await old?.[Symbol.asyncDispose]()
    await migration?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
  })

  test('is copied once more without bringing back what was removed at the new one, and says so', async () => {
    await there('remove', 'origin/team/b:1')
    await there('unpin', 'origin/team/a:1')
    // The old server has asked for it since, and has more than before.
    await pull(old.base, 'team/b', '1')
    await origin.pushImage('team/d', '1')
    await pull(old.base, 'team/d', '1')
    await here('pin', 'origin/team/d:1')

    for (const words of [['migrate', '--dry-run'], ['migrate']]) {
      const said = await here(...words)
      expect(said).toContain('not copied origin/team/b:1: it was removed at the new store')
      expect(said).toContain('not pinned origin/team/a:1: it was unpinned at the new store')
      expect(said).not.toContain('with all names')
    }
    expect(await listed()).toEqual([
      'origin/team/a:1 original',
      'origin/team/c:1 original pinned',
      'origin/team/d:1 original pinned',
    ])

    await pull(moved.base, 'team/b', '1')
    await there('pin', 'origin/team/a:1')
    const { removed } = JSON.parse(await here('migrate', '--json'))
    expect(removed).toEqual({ names: [], pins: [] })
    expect(await listed()).toContain('origin/team/b:1 original')
  }, 120_000)

  test('is gone back to with what the new one alone has, and moved forth again', async () => {
    await origin.pushImage('team/new', '1', { layers: [{ size: 100_000 }] })
    const made = bytesOf(await pull(moved.base, 'team/new', '1-zstd'))
    await there('pin', 'origin/team/new:1-zstd')
    expect(await listed()).toContain('origin/team/new:1 zstd pinned')
    const bundle = join(migration.folder, 'back.tar')
    await there('export', 'origin/team/new:1-zstd', '--output', bundle)
    await moved.stop()
    await old.stop()

    await here('import', bundle)
    await here('pin', 'origin/team/new:1-zstd')
    await old.start({ cache: { offline: true } })
    expect(bytesOf(await pull(old.base, 'team/new', '1-zstd'))).toEqual(made)
    for (const name of ['a', 'b', 'c', 'd']) await pull(old.base, `team/${name}`, '1')
    await old.stop()

    await here('migrate')
    await moved.start({ cache: { offline: true } })
    expect(bytesOf(await pull(moved.base, 'team/new', '1-zstd'))).toEqual(made)
    expect(await listed()).toContain('origin/team/new:1 zstd pinned')
  }, 120_000)
})

function bytesOf({ digest, bytes, layers }: PulledImage): object {
  return { digest, document: digestOf(bytes), layers: layers.map((layer) => layer.digest) }
}
