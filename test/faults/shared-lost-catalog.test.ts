/** A database that is lost while servers run: nobody works by what is there instead, and all comes back from S3 when it is asked for. */
import { expect, describe, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { openPostgresCatalog } from '../../src/store/postgres/open.ts'
import { Workplace } from '../helpers/command.ts'
import { ask } from '../helpers/faults-http.ts'
import { pull } from '../helpers/faults-puller.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, type Replica, Replicas } from '../helpers/replicas.ts'
import { blobsText, digestsOnS3 } from '../helpers/s3-store.ts'

/** Until a server that dies is believed dead, and its renewals of a lease, ms. */
const LONG_MS = 40_000
const RENEWAL_MS = 6_000

const OTHER =
  /the catalog at .* is another one than this server was started with; restart the servers/

describe.skipIf(!hasSharedPair)('servers whose database is lost', () => {
  test('refuse new ones before they make tables, serve by no other catalog, and start again with all that lies on S3', async () => {
    await using replicas = await Replicas.start({ count: 1 })
    const [first] = replicas.all
    if (first === undefined) throw new Error('no replica')
    await replicas.registry.pushImage('lost/a', '1', { layers: [{ size: 100_000 }] })
    const before = bytesOf(await pull(first.proxy.base, 'lost/a', '1-zstd'))
    const stored = await digestsOnS3(replicas.place, 'blobs/')

    await sql(replicas, 'DROP SCHEMA crossdock CASCADE')

    await expect.poll(() => statusOf(first), { timeout: LONG_MS }).toBe(503)
    await expect(replicas.add()).rejects.toThrow(
      /another crossdock server, on .* that database was lost: stop all servers, then start one/,
    )
    expect(await sql(replicas, "SELECT FROM pg_namespace WHERE nspname = 'crossdock'")).toEqual([])

    // As an older build would have left it.
    await (await openPostgresCatalog({ url: urlOf(replicas), clock: systemClock }))[
      Symbol.asyncDispose
    ]()
    await expect.poll(() => readiness(first), { timeout: LONG_MS }).toMatch(OTHER)
    await systemClock.sleep(RENEWAL_MS)
    expect(await statusOf(first)).toBe(503)
    expect(await sql(replicas, 'SELECT name FROM crossdock.leases')).toEqual([])
    expect(first.s3.count('DELETE', '/blobs/')).toBe(0)

    await first.proxy.restart()
    expect(await statusOf(first)).toBe(200)
    const blobs = { kind: 'blob' } as const
    const asked = replicas.registry.count(blobs)
    const again = await pull(first.proxy.base, 'lost/a', '1-zstd')
    expect(bytesOf(again)).toEqual(before)
    expect(replicas.registry.count(blobs)).toBe(asked)
    expect(await digestsOnS3(replicas.place, 'blobs/')).toEqual(stored)
  })

  test('are not worked beside by commands that know another catalog', async () => {
    await using replicas = await Replicas.start({ count: 1 })
    await replicas.registry.pushImage('lost/b', '1', { layers: [{ size: 100_000 }] })
    await pull(replicas.base, 'lost/b', '1')
    const before = await digestsOnS3(replicas.place, '')
    await using place = await Workplace.create()
    const store = { blobs: blobsText(replicas.place) }
    const upstreams = { local: { url: replicas.registry.url } }
    const config = { defaultUpstream: 'local', upstreams, store, cache: { maxSize: 1, lease: '0' } }
    await place.write('crossdock.yaml', JSON.stringify(config))

    for (const words of COMMANDS) {
      const { code, err } = await place.run(...words)
      expect([words, code], err).toEqual([words, 1])
      expect(err).toMatch(/another crossdock server, on .*, already uses s3:.* name its database/)
    }
    expect(new Set((await digestsOnS3(replicas.place, '')).keys())).toEqual(new Set(before.keys()))
  })
})

const IMAGE = 'local/lost/b:1'
const COMMANDS = [
  ['list'],
  ['inspect', IMAGE],
  ['verify'],
  ['gc', '--dry-run'],
  ['gc'],
  ['stage', IMAGE],
  ['pin', IMAGE],
  ['remove', IMAGE],
  ['export', IMAGE, '--output', 'b.tar'],
] as const satisfies readonly (readonly string[])[]

function urlOf({ postgres }: Replicas): string {
  return postgres.url('postgres')
}

async function sql(replicas: Replicas, text: string): Promise<readonly object[]> {
  const client = await (await loadDriver()).connect({ connectionString: urlOf(replicas) })
  return (await client.query(text).finally(() => client.end())).rows
}

async function statusOf({ proxy }: Replica): Promise<number> {
  return (await ask(`${proxy.crossdock.url}/readyz`)).status
}

async function readiness({ proxy }: Replica): Promise<string> {
  return (await ask(`${proxy.crossdock.url}/readyz`)).bytes.toString()
}
