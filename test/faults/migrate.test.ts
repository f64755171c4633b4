/** `crossdock migrate`: killed at every kind of step, while the store is served; afterwards the shared pair serves the same. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { type CommandResult, runCommand } from '../helpers/fixtures-command.ts'
import { hasPostgres } from '../helpers/postgres.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, digestsOnS3, freshPlace, hasS3 } from '../helpers/s3-store.ts'
import { S3Wire } from '../helpers/s3-wire.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']
const STEPS = ['/migration.json', '/blobs/', 'partNumber', '/sidecars/', '/proofs/', '/pins.json']

/** S3 takes larger ones in parts. */
const LARGE = 9 * 1024 * 1024

describe.skipIf(!hasPostgres || !hasS3)('an embedded store', () => {
  let origin: FakeRegistry
  let postgres: PostgresServer
  let wire: S3Wire
  let place: S3Place
  let folder: string
  let old: TestProxy

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-migrate-'))
    origin = await FakeRegistry.start()
    const cluster = await mkdtemp(join(tmpdir(), 'crossdock-migrate-pg-'))
    await rm(cluster, { recursive: true })
    postgres = await startPostgres(cluster)
    const direct = await freshPlace()
    wire = await S3Wire.start(direct.endpoint ?? '')
    place = { ...direct, endpoint: wire.url }
    old = await TestProxy.start({ registry: origin, config: { cache: { tagWindow: '1d' } } })
    await origin.pushImage('move/me', '1', { layers: [{ size: LARGE }, {}] })
  }, START_MS)

  afterAll(async () => {
    await old?.[Symbol.asyncDispose]()
    await wire?.[Symbol.asyncDispose]()
    await postgres?.[Symbol.asyncDispose]()
    await origin?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const storeAt = (where: S3Place) => ({
    ...{ blobs: blobsText(where), catalog: postgres.url('postgres') },
  })

  async function command(words: readonly string[], where = place, data = old.data) {
    const [own, other] = [join(folder, 'own.yaml'), join(folder, 'store.yaml')]
    const upstreams = { origin: { url: origin.url } }
    const common = { upstreams, defaultUpstream: 'origin', log: { level: 'warn' } }
    await writeFile(own, JSON.stringify({ ...common, data }))
    const store = storeAt(where)
    await writeFile(other, JSON.stringify({ ...common, data: join(folder, 'new'), store }))
    const [name = '', ...more] = words
    const to = name === 'migrate' ? ['--to', other] : []
    return [join(ROOT, 'src/main.ts'), name, '--config', own, ...to, ...more]
  }

  async function run(...words: readonly string[]): Promise<CommandResult> {
    return await runCommand(process.execPath, await command(words), { env: S3_CREDENTIALS })
  }

  /** Dies when S3 is asked to write so. */
  async function runUntil(step: string): Promise<void> {
    const child = spawn(process.execPath, await command(['migrate']), {
      env: { ...process.env, ...S3_CREDENTIALS },
      stdio: 'ignore',
    })
    wire.fault = ({ method, path, query }) => {
      if (method !== 'PUT' || !`${path}?${query}`.includes(step)) return undefined
      child.kill('SIGKILL')
      return { kind: 'reset' }
    }
    const [code, signal] = await once(child, 'exit')
    wire.fault = () => undefined
    expect([step, code, signal]).toEqual([step, null, 'SIGKILL'])
  }

  /** Dies when all is copied, and some of it read again. */
  async function killWhileItMakesTheCatalog(): Promise<void> {
    const child = spawn(process.execPath, await command(['migrate']), {
      env: { ...process.env, ...S3_CREDENTIALS },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.on('data', (chunk) => (said += String(chunk)))
    wire.fault = ({ method, path }) => {
      const isMaking = said.includes('making the catalog')
      if (!isMaking || method !== 'GET' || !path.includes('/sidecars/')) return undefined
      child.kill('SIGKILL')
      return { kind: 'reset' }
    }
    const [, signal] = await once(child, 'exit')
    wire.fault = () => undefined
    expect(signal).toBe('SIGKILL')
  }

  test('is moved while it is served, whatever kills the command, and serves the same from there', async () => {
    const before: object[] = []
    for (const form of FORMS) before.push(bytesOf(await pull(old.base, 'move/me', form)))
    expect((await run('pin', 'origin/move/me:1-zstd')).status).toBe(0)

    const look = await run('migrate', '--dry-run', '--json')
    expect(look).toMatchObject({ status: 0 })
    expect(JSON.parse(look.stdout).left.blobs).toBeGreaterThan(5)
    expect(await digestsOnS3(place, '')).toEqual(new Map())
    for (const step of STEPS) await runUntil(step)
    await killWhileItMakesTheCatalog()
    expect(await run('migrate')).toMatchObject({ status: 0 })
    for (const [key, digest] of await digestsOnS3(place, 'blobs/')) {
      expect(key).toContain(digest.slice('sha256:'.length))
    }

    await origin.pushImage('move/late', '1')
    const late = bytesOf(await pull(old.base, 'move/late', '1-zstd'))
    await old.stop()
    const rest = await run('migrate')
    expect(rest.stdout).toContain('start a server with the new configuration')
    const again = JSON.parse((await run('migrate', '--json')).stdout)
    expect([again.moved.blobs, again.left.blobs, again.lost]).toEqual([0, 0, []])

    await using moved = await TestProxy.start({
      registry: origin,
      config: { store: storeAt(place), cache: { offline: true } },
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
    const words = await command(['migrate'], place, other.data)
    const taken = await runCommand(process.execPath, words, { env: S3_CREDENTIALS })
    expect(taken.status).toBe(1)
    expect(taken.stderr).toContain("already holds another store's data; choose another bucket")

    const env = {
      ...{ AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined },
      ...{ AWS_EC2_METADATA_DISABLED: 'true', HOME: folder },
    }
    const unknown = await runCommand(process.execPath, words, { env })
    expect(unknown.status).toBe(1)
    expect(unknown.stderr).toContain('there are no credentials; set AWS_ACCESS_KEY_ID')
  })

  test.each(['migrate --dry-run', 'migrate'])(
    'is not begun to be moved where PostgreSQL will not have it (%s)',
    async (words) => {
      const fresh = await freshPlace()
      const line = await command(words.split(' '), fresh)
      const store = { ...storeAt(fresh), catalog: postgres.url('no') }
      const other = { data: join(folder, 'new'), store }
      await writeFile(join(folder, 'store.yaml'), JSON.stringify(other))
      const found = await runCommand(process.execPath, line, { env: S3_CREDENTIALS })
      expect(found.status).toBe(1)
      expect(found.stderr).toContain('there is no such database')
      expect(await digestsOnS3(fresh, '')).toEqual(new Map())
    },
  )

  test('is moved to S3 alone', async () => {
    const file = join(folder, 'disk.yaml')
    await writeFile(file, JSON.stringify({ data: join(folder, 'elsewhere') }))
    const [main, , , own] = await command(['migrate'])
    const words = [main ?? '', 'migrate', '--config', own ?? '', '--to', file]
    const found = await runCommand(process.execPath, words)
    expect(found.status).toBe(2)
    expect(found.stderr).toContain('keeps its blobs on a disk')
  })
})

function bytesOf({ digest, bytes, layers }: PulledImage): object {
  return { digest, document: digestOf(bytes), layers: layers.map((layer) => layer.digest) }
}
