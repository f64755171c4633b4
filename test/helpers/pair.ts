/**
 * On which pair a test's server stands: blobs on disk with SQLite, or, with `CROSSDOCK_TEST_PAIR=shared`, a prefix of a bucket with
 * a database on PostgreSQL. Both follow from the data folder, so that whoever uses that folder again finds the same store.
 */
import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { inject } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { demand } from './on-demand.ts'
import { POSTGRES_BIN, WITHOUT_POSTGRES } from './postgres-server.ts'
import { S3_CREDENTIALS, VERSITYGW, WITHOUT_S3 } from './s3-server.ts'
import { blobsText, makeBucket } from './s3-store.ts'

export const isSharedPair = process.env.CROSSDOCK_TEST_PAIR === 'shared'

/** A store of the shared pair. */
export interface SharedPlace {
  readonly s3: S3Place
  /** A folder of the S3 server's: what lies below the prefix, as files. */
  readonly objects: string
  /** Address of the database, which is there. */
  readonly catalog: string
  readonly database: string
}

/** The store of a data folder; the same one for the same folder. */
export async function sharedPlaceOf(data: string): Promise<SharedPlace> {
  const known = places.get(resolve(data))
  if (known !== undefined) return await known
  const made = makePlace(placeName(resolve(data)))
  places.set(resolve(data), made)
  return await made
}

/** What `store` of a configuration says for a data folder; nothing for the embedded pair. */
export async function storeSectionOf(data: string): Promise<StoreSection | undefined> {
  if (!isSharedPair) return undefined
  const { s3, catalog } = await sharedPlaceOf(data)
  return { catalog, blobs: blobsText(s3) }
}

export interface StoreSection {
  readonly catalog: string
  readonly blobs: string
}

/** The same for a command, as variables of its environment: for the data folder that it will use, unless it says where its store lies. */
export async function storeVariables(
  args: readonly string[],
  { env, cwd }: { readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): Promise<Readonly<Record<string, string>>> {
  if (!isSharedPair || STORELESS.has(args[0] ?? '')) return {}
  const flags = { data: wordAfter(args, '--data') }
  const config = await loadConfig({ file: wordAfter(args, '--config'), env, cwd, flags }).then(
    (loaded) => loaded.config,
    // The command says by itself what is wrong.
    () => undefined,
  )
  if (config === undefined || config.store.blobs.kind !== 'disk') return {}
  const store = await storeSectionOf(config.data)
  return store === undefined
    ? {}
    : {
        ...S3_CREDENTIALS,
        CROSSDOCK_STORE__CATALOG: store.catalog,
        CROSSDOCK_STORE__BLOBS: store.blobs,
      }
}

/** The whole environment of a command that is a process of its own, in a folder in which it finds its configuration. */
export async function storeEnvironment(
  args: readonly string[],
  cwd: string,
): Promise<NodeJS.ProcessEnv> {
  return { ...process.env, ...(await storeVariables(args, { env: {}, cwd })) }
}

/** True on the shared pair, with the reason printed: for `skipIf`, where a test is about what only the embedded pair has. */
export function isEmbeddedOnly(reason: string): boolean {
  if (isSharedPair) console.warn(`skipped on the shared pair: ${reason}`)
  return isSharedPair
}

/** Commands that open no store. */
const STORELESS = new Set(['config', 'client', 'completion', 'help', '--help', '--version', ''])

const places = new Map<string, Promise<SharedPlace>>()

/** Of this process of the tests. */
const BUCKET = `pair-${process.pid}`
let bucket: Promise<void> | undefined

async function makePlace(name: string): Promise<SharedPlace> {
  if (POSTGRES_BIN === undefined) throw new Error(WITHOUT_POSTGRES)
  if (VERSITYGW === undefined) throw new Error(WITHOUT_S3)
  // Commands and stores within this process look there.
  Object.assign(process.env, S3_CREDENTIALS)
  const address = await demand(inject('postgres'))
  const endpoint = await demand(inject('s3'))
  const s3: S3Place = { bucket: BUCKET, prefix: name, endpoint, forcePathStyle: true }
  bucket ??= makeBucket(s3)
  await bucket
  const database = `pair_${process.pid}_${name}`
  await onServer(address, `CREATE DATABASE ${database}`)
  const objects = join(inject('s3Folder'), BUCKET, name)
  return { s3, objects, catalog: `${address}${database}`, database }
}

/** Runs a statement on the server of a run, in no database of a store. */
export async function onServer(address: string, statement: string): Promise<void> {
  const { client: make } = await loadDriver()
  const client = make({ connectionString: new URL('postgres', address).href })
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

function placeName(data: string): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 16)
}

function wordAfter(args: readonly string[], flag: string): string | undefined {
  const at = args.indexOf(flag)
  if (at >= 0) return args[at + 1]
  return args.find((word) => word.startsWith(`${flag}=`))?.slice(flag.length + 1)
}
