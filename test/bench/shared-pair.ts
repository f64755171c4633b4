/** PostgreSQL and S3 for benchmarks, with as many empty stores as they want, and what processors do for them. */
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { S3_LIMITS } from '../../src/store/s3/place.ts'
import { createClient, loadSdk } from '../../src/store/s3/sdk.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { S3_CREDENTIALS, type S3Server, startS3 } from '../helpers/s3-server.ts'
import { processorSeconds } from './processor.ts'
import { openFolder } from './source.ts'

const BUCKET = 'bench'

export interface SharedPair extends AsyncDisposable {
  readonly s3: S3Server
  readonly postgres: PostgresServer
  /** An empty one, as the configuration says it. `endpoint`: of S3, if it is reached by way of something else. */
  store(endpoint?: string): Promise<{ readonly blobs: string; readonly catalog: string }>
  /** Where distribution keeps what is pushed to it; it sends nobody to S3. */
  storage(): object
  /** Processor time until now, seconds. */
  spent(): Promise<{ readonly s3: number; readonly postgres: number }>
}

export async function startSharedPair(): Promise<SharedPair> {
  const folder = await openFolder()
  // PostgreSQL runs as somebody who must get there.
  await chmod(folder.path, 0o755)
  const s3 = await startS3(join(folder.path, 's3'))
  const postgres = await startPostgres(join(folder.path, 'postgres'))
  await makeBucket(s3)
  let stores = 0
  return {
    ...{ s3, postgres },
    async store(endpoint = s3.url) {
      stores += 1
      const database = `store_${stores}`
      await makeDatabase(postgres, database)
      const blobs = `s3://${BUCKET}/${database}?endpoint=${endpoint}&forcePathStyle=true`
      return { blobs, catalog: postgres.url(database) }
    },
    storage: () => ({
      s3: {
        accesskey: S3_CREDENTIALS.AWS_ACCESS_KEY_ID,
        secretkey: S3_CREDENTIALS.AWS_SECRET_ACCESS_KEY,
        region: 'us-east-1',
        regionendpoint: s3.url,
        forcepathstyle: true,
        secure: false,
        bucket: BUCKET,
        rootdirectory: '/distribution',
      },
      redirect: { disable: true },
    }),
    spent: async () => ({
      s3: await processorSeconds(s3.pid),
      postgres: await processorSeconds(postgres.pid),
    }),
    async [Symbol.asyncDispose]() {
      await postgres[Symbol.asyncDispose]()
      await s3[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function makeBucket({ url: endpoint }: S3Server): Promise<void> {
  Object.assign(process.env, S3_CREDENTIALS)
  const sdk = await loadSdk()
  const place = { bucket: BUCKET, prefix: '', endpoint, forcePathStyle: true }
  const client = createClient(sdk, place, S3_LIMITS)
  await client.send(new sdk.CreateBucketCommand({ Bucket: BUCKET }))
  client.destroy()
}

async function makeDatabase(postgres: PostgresServer, name: string): Promise<void> {
  const { client: make } = await loadDriver()
  const client = make({ connectionString: postgres.url('postgres') })
  await client.connect()
  await client.query(`CREATE DATABASE ${name}`)
  await client.end()
}
