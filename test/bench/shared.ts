/** What it costs that the store lies on PostgreSQL and S3, beside the embedded one: cold pulls of an upstream on a line. */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { S3_LIMITS } from '../../src/store/s3/place.ts'
import { createClient, loadSdk } from '../../src/store/s3/sdk.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { REGISTRY } from '../helpers/fixtures.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { S3_CREDENTIALS, type S3Server, startS3 } from '../helpers/s3-server.ts'
import { comparePair, formatTime, timed } from './measure.ts'
import type { Row, Section } from './row.ts'
import { IMAGE, openFolder } from './source.ts'

/** Of upstreams on a good and a usual line, bytes/s. */
const LINES = [50_000_000, 12_500_000]
const MAX_SLOWDOWN = 1.3

/** For one pull on a machine that has much else to do. */
const PATIENCE_MS = 600_000

export const shared: Section = {
  name: 'shared',
  async measure(runs) {
    await using folder = await openFolder()
    // PostgreSQL runs as somebody who must get there.
    await chmod(folder.path, 0o755)
    await using s3 = await startS3(join(folder.path, 's3'))
    await using postgres = await startPostgres(join(folder.path, 'postgres'))
    await makeBucket(s3)
    let stores = 0
    const rows: Row[] = []
    for (const rate of LINES) {
      await using upstream = await openGateway({ to: REGISTRY, bytesPerSecond: rate })
      for (const image of [IMAGE, `${IMAGE}-zstd`]) {
        const pull = (config: object) => coldPull({ upstream: upstream.host, config, image })
        const pair = await comparePair(
          runs,
          async () => {
            stores += 1
            return await pull({ store: await emptyStore(s3, postgres, stores) })
          },
          () => pull({}),
        )
        rows.push({
          what: `cold pull of ${image} onto PostgreSQL and S3, upstream limited to ${rate / 1e6} MB/s`,
          against: 'onto the disk',
          ours: formatTime(pair.ours),
          theirs: formatTime(pair.theirs),
          ratio: pair.theirs / pair.ours,
          least: 1 / MAX_SLOWDOWN,
        })
      }
    }
    return rows
  },
}

export const BUCKET = 'bench'

export async function makeBucket({ url: endpoint }: S3Server): Promise<void> {
  Object.assign(process.env, S3_CREDENTIALS)
  const sdk = await loadSdk()
  const place = { bucket: BUCKET, prefix: '', endpoint, forcePathStyle: true }
  const client = createClient(sdk, place, S3_LIMITS)
  await client.send(new sdk.CreateBucketCommand({ Bucket: BUCKET }))
  client.destroy()
}

/** As the configuration says it. */
async function emptyStore({ url }: S3Server, postgres: PostgresServer, number: number) {
  const database = `store_${number}`
  const { client: make } = await loadDriver()
  const client = make({ connectionString: postgres.url('postgres') })
  await client.connect()
  await client.query(`CREATE DATABASE ${database}`)
  await client.end()
  const blobs = `s3://${BUCKET}/${database}?endpoint=${url}&forcePathStyle=true`
  return { blobs, catalog: postgres.url(database) }
}

interface ColdPull {
  readonly upstream: string
  readonly config: object
  readonly image: string
}

async function coldPull({ upstream, config, image }: ColdPull): Promise<number> {
  await using crossdock = await startCrossdock({
    ...{ upstream, config: { ...config } },
    env: S3_CREDENTIALS,
  })
  return await timed(async () => {
    const answer = pullImage(`${crossdock.host}/${image}`, { timeoutMs: PATIENCE_MS })
    const { outcome, reason } = await answer
    if (outcome !== 'pulled') throw new Error(`${image}: ${reason}`)
  })
}
