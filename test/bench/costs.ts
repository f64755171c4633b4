/** What one pull asks of PostgreSQL and S3, in numbers of requests, which no busy machine changes. */
import type { Client } from '../../src/store/postgres/driver.ts'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { S3Wire } from '../helpers/s3-wire.ts'
import type { BoundRow, Section } from './row.ts'
import { startSharedPair } from './shared-pair.ts'

const LAYERS = 10
const LAYER_BYTES = 2 * 1024 * 1024

/** PostgreSQL counts what a connection has done up to 10 s later; uses of blobs are written after 5 s. Ms. */
const SETTLED_MS = 11_000

export const costs: Section = {
  name: 'costs',
  async measure() {
    await using pair = await startSharedPair()
    await using wire = await S3Wire.start(pair.s3.url)
    await using origin = await FakeRegistry.start()
    const layers = Array.from({ length: LAYERS }, () => ({ size: LAYER_BYTES }))
    const { layers: pushed } = await origin.pushImage('app', '1', { layers })
    const store = await pair.store(wire.url)
    await using crossdock = await startCrossdock({
      upstream: new URL(origin.url).host,
      config: { store: { ...store, redirect: true } },
      env: S3_CREDENTIALS,
    })
    const { client: make } = await loadDriver()
    const client = make({ connectionString: store.catalog })
    await client.connect()
    const cost = (what: string, work: () => Promise<unknown>) => costOf(what, work, client, wire)
    const pull = (tag: string) => async () => {
      const { outcome, reason } = await pullImage(`${crossdock.host}/app:${tag}`)
      if (outcome !== 'pulled') throw new Error(reason)
    }
    const redirected = async () => {
      await Promise.all(
        pushed.map(({ digest }) =>
          ask(`${crossdock.url}/v2/app/blobs/${digest}`, {
            headers: { 'user-agent': 'containerd/2.1' },
          }),
        ),
      )
    }
    const of = `image of ${LAYERS} layers`
    try {
      return [
        await cost('nothing, for so long', async () => undefined),
        await cost(`cold pull, ${of}`, pull('1')),
        await cost('the same again, from the cache', pull('1')),
        await cost('as zstd, its originals there', pull('1-zstd')),
        await cost('the same again, from the cache', pull('1-zstd')),
        await cost(`${LAYERS} layers by redirect`, redirected),
      ]
    } finally {
      await client.end()
    }
  },
}

async function costOf(
  what: string,
  work: () => Promise<unknown>,
  client: Client,
  wire: S3Wire,
): Promise<BoundRow> {
  const before = { commits: await commits(client), seen: wire.seen.length }
  await work()
  await new Promise((resolve) => setTimeout(resolve, SETTLED_MS))
  const after = await commits(client)
  const methods = new Map<string, number>()
  for (const { method } of wire.seen.slice(before.seen)) {
    methods.set(method, (methods.get(method) ?? 0) + 1)
  }
  const asked = [...methods].map(([method, count]) => `${count} ${method}`).join(', ')
  const ours = `${after - before.commits} transactions; S3: ${asked || 'nothing'}`
  return { what, ours, bound: 'for docs/scaling.md', met: true }
}

async function commits(client: Client): Promise<number> {
  // What a connection has done is told when it has nothing to do.
  await client.query('SELECT pg_stat_clear_snapshot()')
  const text =
    'SELECT xact_commit::int AS n FROM pg_stat_database WHERE datname = current_database()'
  return (await client.query(text)).rows[0].n
}
