/** Stores on S3: each in a data folder and under a prefix of its own, in one bucket of this test file. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { type Digest, Hasher } from '../../src/oci/digest.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { BlobsHalf, StorePlace } from '../../src/store/halves.ts'
import { layoutOf, makeFolder } from '../../src/store/layout.ts'
import { openStore, type Store } from '../../src/store/open.ts'
import { Objects } from '../../src/store/s3/objects.ts'
import { openS3Half } from '../../src/store/s3/open.ts'
import { S3_LIMITS, type S3Limits, type S3Place } from '../../src/store/s3/place.ts'
import { createClient, loadSdk } from '../../src/store/s3/sdk.ts'
import { TempFiles } from '../../src/store/temp-files.ts'
import { demand } from './on-demand.ts'
import { S3_CREDENTIALS, VERSITYGW, WITHOUT_S3 } from './s3-server.ts'

export const hasS3 = VERSITYGW !== undefined

if (!hasS3) console.warn(WITHOUT_S3)

/** S3 wants parts of 5 MiB at least. */
export const TEST_LIMITS: S3Limits = { ...S3_LIMITS, partSize: 5 * 1024 * 1024 }

let counter = 0

/** A prefix that nobody else uses, in a bucket that is there. */
export async function freshPlace(): Promise<S3Place> {
  Object.assign(process.env, S3_CREDENTIALS)
  counter += 1
  const bucket = `test-${process.pid}`
  const endpoint = await demand(inject('s3'))
  const place = { bucket, prefix: `store/${counter}`, endpoint, forcePathStyle: true }
  if (counter === 1) await makeBucket(place)
  return place
}

export async function makeBucket(place: S3Place): Promise<void> {
  const sdk = await loadSdk()
  const client = createClient(sdk, place, S3_LIMITS)
  await client.send(new sdk.CreateBucketCommand({ Bucket: place.bucket }))
  client.destroy()
}

/** Keys of the store's objects with the digest of their bytes. */
export async function digestsOnS3(place: S3Place, under: string): Promise<Map<string, Digest>> {
  using objects = await Objects.open(place, TEST_LIMITS)
  const found = new Map<string, Digest>()
  for await (const { key, size, etag } of objects.list(under)) {
    const hasher = new Hasher('sha256')
    for await (const chunk of objects.read(key, { start: 0, end: size }, etag)) hasher.update(chunk)
    found.set(key, hasher.digest())
  }
  return found
}

/** Behind the store's back. */
export async function overwriteOnS3(place: S3Place, digest: string, bytes: Buffer): Promise<void> {
  using objects = await Objects.open(place, TEST_LIMITS)
  await objects.put(`blobs/${digest.replace(':', '/')}`, bytes, { kind: 'none' })
}

/** As the configuration says it. */
export function blobsText({ bucket, prefix, endpoint }: S3Place): string {
  return `s3://${bucket}/${prefix}?endpoint=${endpoint}&forcePathStyle=true`
}

export interface S3HalfUnderTest extends BlobsHalf {
  readonly place: S3Place
  readonly data: string
}

export interface HalfOptions {
  readonly place?: S3Place
  /** Bytes. */
  readonly localCache?: number
  readonly limits?: S3Limits
  readonly redirect?: boolean
  readonly now?: () => number
}

/** Bytes, sidecars and journal alone. */
export async function s3Half(options: HalfOptions = {}): Promise<S3HalfUnderTest> {
  const { localCache = 1024 ** 3, limits = TEST_LIMITS } = options
  const place = options.place ?? (await freshPlace())
  const data = await mkdtemp(join(tmpdir(), 'crossdock-s3-half-'))
  const layout = layoutOf(data)
  await makeFolder(data)
  const temp = await TempFiles.open(layout)
  const { monotonic } = systemClock
  const { now = systemClock.now } = options
  const half = await openS3Half(
    place,
    options.redirect ? { localCache, redirect: true } : { localCache },
    {
      ...{ layout, temp, monotonic, now },
      s3Limits: limits,
    },
  )
  return {
    ...half,
    place,
    data,
    async [Symbol.asyncDispose]() {
      await half[Symbol.asyncDispose]()
      await temp[Symbol.asyncDispose]()
      await rm(data, { recursive: true, force: true })
    },
  }
}

export interface S3Store extends Store {
  readonly data: string
  readonly place: S3Place
}

export interface S3StoreOptions {
  readonly place?: S3Place
  readonly data?: string
  readonly clock?: Clock
  /** Default: SQLite. */
  readonly catalog?: StorePlace['catalog']
}

export async function s3Store(options: S3StoreOptions = {}): Promise<S3Store> {
  const { clock = systemClock, catalog = { kind: 'sqlite' } } = options
  const place = options.place ?? (await freshPlace())
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'crossdock-s3-store-')))
  const where: StorePlace = {
    catalog,
    blobs: { kind: 's3', ...place },
    localCache: 1024 ** 3,
  }
  const store = await openStore({ data, clock, place: where, s3Limits: TEST_LIMITS })
  return {
    ...store,
    data,
    place,
    async [Symbol.asyncDispose]() {
      await store[Symbol.asyncDispose]()
      await rm(data, { recursive: true, force: true })
    },
  }
}
