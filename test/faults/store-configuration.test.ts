/** A store that is configured wrongly, with real servers: whatever is wrong, it is said what to do. */
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { openStore } from '../../src/store/open.ts'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { S3_LIMITS, type S3Place } from '../../src/store/s3/place.ts'
import { createClient, loadSdk } from '../../src/store/s3/sdk.ts'
import { openAuthority } from '../helpers/certificates.ts'
import { START_MS } from '../helpers/faults-proxy.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { hasSharedPair } from '../helpers/replicas.ts'
import { addS3User, S3_CREDENTIALS, type S3Server, startS3 } from '../helpers/s3-server.ts'

const READER = { AWS_ACCESS_KEY_ID: 'reader', AWS_SECRET_ACCESS_KEY: 'only reads' }

/** Of everybody who may read a bucket and write nothing. */
const READING = {
  Statement: [
    {
      Effect: 'Allow',
      Principal: ['reader'],
      Action: ['s3:GetObject', 's3:ListBucket'],
      Resource: ['arn:aws:s3:::store', 'arn:aws:s3:::store/*'],
    },
  ],
}

describe.skipIf(!hasSharedPair)('a store that is configured wrongly', () => {
  let folder: string
  let s3: S3Server
  let postgres: PostgresServer
  let place: S3Place
  let authority: string
  let encrypted: { readonly url: string; close(): void }

  beforeAll(async () => {
    Object.assign(process.env, S3_CREDENTIALS)
    folder = await mkdtemp(join(tmpdir(), 'crossdock-wrong-'))
    const users = join(folder, 'users')
    await mkdir(users)
    s3 = await startS3(join(folder, 's3'), { users })
    place = { bucket: 'store', prefix: '', endpoint: s3.url, forcePathStyle: true }
    await addS3User(s3, READER.AWS_ACCESS_KEY_ID, READER.AWS_SECRET_ACCESS_KEY)
    await makeReadable(place)
    const { ca, issue } = await openAuthority(folder)
    authority = ca
    const { cert, key } = await issue('server', '/CN=server', ['127.0.0.1'])
    encrypted = await answering(await readFile(cert), await readFile(key))
    const cluster = join(tmpdir(), `crossdock-wrong-pg-${process.pid}`)
    postgres = await startPostgres(cluster)
    for (const [from, to] of [[cert, 's.crt'] as const, [key, 's.key'] as const]) {
      await copyFile(from, join(cluster, 'data', to))
      await promisify(execFile)('chown', ['postgres', join(cluster, 'data', to)])
    }
    await sql(`CREATE ROLE reader LOGIN PASSWORD 'r'`)
    await sql(`CREATE ROLE quiet SUPERUSER LOGIN PASSWORD 'r'`)
    await sql('ALTER ROLE quiet SET default_transaction_read_only = on')
    await sql('CREATE DATABASE encrypted')
    await sql(`ALTER SYSTEM SET ssl = on`)
    await sql(`ALTER SYSTEM SET ssl_cert_file = 's.crt'`)
    await sql(`ALTER SYSTEM SET ssl_key_file = 's.key'`)
    const rule = (kind: string, database: string) =>
      `${kind} ${database} all 127.0.0.1/32 scram-sha-256\n`
    const rules = rule('hostssl', 'encrypted') + rule('host', 'postgres')
    await writeFile(join(cluster, 'data', 'pg_hba.conf'), rules)
    await postgres.stop()
    await postgres.start()
  }, START_MS)

  afterAll(async () => {
    encrypted?.close()
    await postgres?.[Symbol.asyncDispose]()
    await s3?.[Symbol.asyncDispose]()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  async function sql(text: string): Promise<void> {
    const client = await (await loadDriver()).connect({
      connectionString: postgres.url('postgres'),
    })
    await client.query(text).finally(() => client.end())
  }

  /** What it says when it is opened; empty when it can be. */
  async function opened(where: Partial<S3Place>, catalog = postgres.url('postgres')) {
    const blobs = { kind: 's3', ...place, ...where } as const
    const data = await mkdtemp(join(folder, 'data-'))
    const there = { catalog: { kind: 'postgres', url: catalog }, blobs, localCache: 1e6 } as const
    try {
      await using _ = await openStore({ data, clock: systemClock, place: there })
      return ''
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async function as<T>(env: Readonly<Record<string, string>>, body: () => Promise<T>): Promise<T> {
    Object.assign(process.env, env)
    return await body().finally(() => Object.assign(process.env, S3_CREDENTIALS))
  }

  test.each<[string, (s3: string, tls: string) => Partial<S3Place>, string]>([
    [
      'a bucket that is not there',
      () => ({ bucket: 'nobody' }),
      'there is no such bucket; make it',
    ],
    ['another region', () => ({ region: 'eu-central-1' }), 'another region .* set region'],
    ['nobody there', () => ({ endpoint: 'http://127.0.0.1:1' }), 'cannot be reached; check that'],
    ['https for http', (url) => ({ endpoint: url.replace('p', 'ps') }), 'no TLS .* http:// or'],
    ['http for https', (_, tls) => ({ endpoint: tls.replace('s:', ':') }), 'broke; .* https://'],
    ['an unknown authority', (_, tls) => ({ endpoint: tls }), 'not believed; .*EXTRA_CA_CERTS'],
  ])('S3: %s', async (_, wrong, said) => {
    const found = await opened(wrong(s3.url, encrypted.url))
    expect(found.replace(/^.*?: /, '')).toMatch(new RegExp(said))
  })

  test.each([
    ['a wrong secret', { AWS_SECRET_ACCESS_KEY: 'wrong' }, /cannot use the bucket/],
    ['an unknown key', { AWS_ACCESS_KEY_ID: 'nobody' }, /cannot use the bucket/],
    ['no right to write', READER, /cannot write probes/],
  ])('S3: %s', async (_, env, doing) => {
    const found = await as(env, () => opened({}))
    expect(found).toMatch(doing)
    expect(found).toMatch(/access denied; check AWS_ACCESS_KEY_ID .* get, put, list and delete/)
  })

  test('S3: a clock that is an hour ahead is no obstacle', async () => {
    const { now } = Date
    Date.now = () => now() + 3_600_000
    const found = await opened({}).finally(() => (Date.now = now))
    expect(found).toBe('')
  })

  test.each<[string, (url: URL, ca: string) => void, string]>([
    ['a wrong password', (url) => (url.password = 'x'), 'refuses the user or the password'],
    [
      'a user without rights',
      (url) => ([url.username, url.password] = ['reader', 'r']),
      'may not do that .* grant it CREATE on the database',
    ],
    [
      'a user that only reads',
      (url) => ([url.username, url.password] = ['quiet', 'r']),
      'it only reads .* default_transaction_read_only is off',
    ],
    [
      'TLS that it wants',
      (url) => (url.pathname = '/encrypted'),
      'or not without TLS .* add \\?sslmode=verify-full',
    ],
    [
      'an unknown authority',
      (url) => (url.search = '?sslmode=verify-full'),
      'not believed .*sslrootcert=FILE',
    ],
    [
      'a file that is not there',
      (url) => (url.search = '?sslmode=verify-full&sslrootcert=/no/such'),
      'a file that store.catalog names cannot be read .* correct sslrootcert',
    ],
  ])('PostgreSQL: %s', async (_, spoil, said) => {
    const url = new URL(postgres.url('postgres'))
    spoil(url, authority)
    const found = await opened({}, url.href)
    expect(found).toMatch(/^cannot use the catalog on PostgreSQL at 127.0.0.1:/)
    expect(found).toMatch(new RegExp(said))
  })

  test('PostgreSQL: TLS with an authority that is named is used', async () => {
    const url = new URL(postgres.url('encrypted'))
    url.search = `?sslmode=verify-full&sslrootcert=${authority}`
    expect(await opened({ prefix: 'encrypted' }, url.href)).toBe('')
  })
})

async function makeReadable(place: S3Place): Promise<void> {
  const sdk = await loadSdk()
  const client = createClient(sdk, place, S3_LIMITS)
  const Bucket = place.bucket
  await client.send(new sdk.CreateBucketCommand({ Bucket }))
  await client.send(new sdk.PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify(READING) }))
  client.destroy()
}

/** Something on the net that speaks TLS. */
async function answering(cert: Buffer, key: Buffer) {
  const server = createServer({ cert, key }, (_, response) => response.end())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return { url: `https://127.0.0.1:${port}`, close: () => void server.close() }
}
