/** What lies in the store of a data folder, looked at and harmed behind crossdock's back; knows both pairs (`pair.ts`). */
import { globSync } from 'node:fs'
import { access, cp, mkdir, rename, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { StorePlace } from '../../src/store/halves.ts'
import { openStore, type Store } from '../../src/store/open.ts'
import { loadDriver } from '../../src/store/postgres/driver.ts'
import { type Layout, layoutOf } from '../../src/store/layout.ts'
import { nameOf } from '../../src/store/s3/place.ts'
import { localFolder } from '../../src/store/s3/open.ts'
import { blobKey, sidecarKey } from '../../src/store/s3/keys.ts'
import type { Digest } from '../../src/oci/digest.ts'
import { mustRun } from './fixtures-command.ts'
import { isSharedPair, onServer, sharedPlaceOf } from './pair.ts'

/** Spool, and on the shared pair the cache in place of the store. */
export async function localLayout(data: string): Promise<Layout> {
  return layoutOf(isSharedPair ? localFolder(data, (await sharedPlaceOf(data)).s3) : data)
}

/** Of all blobs of the store: on the shared pair the objects, not their copies in the cache. */
export async function blobFiles(data: string): Promise<readonly string[]> {
  const folder = isSharedPair
    ? join((await sharedPlaceOf(data)).objects, 'blobs')
    : layoutOf(data).blobs
  return await filesBelow(folder)
}

/** Their names, `<hex>`. */
export async function storedBlobs(data: string): Promise<readonly string[]> {
  return (await blobFiles(data)).map((path) => basename(path))
}

/** Blobs, sidecars and temp files, each with its size. */
export async function storedTree(data: string): Promise<readonly string[]> {
  const { tmp } = await localLayout(data)
  const root = isSharedPair ? (await sharedPlaceOf(data)).objects : data
  const folders = { blobs: join(root, 'blobs'), sidecars: join(root, 'sidecars'), tmp }
  const found: string[] = []
  for (const [part, folder] of Object.entries(folders)) {
    for (const path of await filesBelow(folder)) {
      found.push(`${part}/${relative(folder, path)} ${(await stat(path)).size}`)
    }
  }
  return found.sort()
}

/** A blob that nothing speaks of, as what was killed may leave it. */
export async function leaveBlob(data: string, digest: string, bytes: Uint8Array): Promise<void> {
  const known = digest as Digest
  if (isSharedPair) {
    await using store = await storedIn(data)
    const writer = await store.blobs.create({ digest: known, size: bytes.byteLength })
    await writer.write(bytes)
    await writer.commit()
    return
  }
  const path = layoutOf(data).blob(known)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, bytes)
}

/** Where the bytes of one blob lie: first in the store, then copies. At least one. */
export async function filesOfBlob(data: string, digest: string): Promise<readonly string[]> {
  const known = digest as Digest
  const local = (await localLayout(data)).blob(known)
  const all = isSharedPair ? [await storedFile(data, digest), local] : [local]
  const there = await Promise.all(all.map((path) => isThere(path)))
  const found = all.filter((_, i) => there[i])
  if (found.length === 0) throw new Error(`${digest} is not in the store of ${data}`)
  return found
}

/** Where the store itself has it, durable; a copy in the cache does not count. */
export async function storedFile(data: string, digest: string): Promise<string> {
  const known = digest as Digest
  if (!isSharedPair) return layoutOf(data).blob(known)
  return join((await sharedPlaceOf(data)).objects, blobKey(known))
}

export async function isStored(data: string, digest: string): Promise<boolean> {
  return await isThere(await storedFile(data, digest))
}

/** Of all manifests; on the shared pair one that was removed is empty. */
export async function sidecarFiles(data: string): Promise<readonly string[]> {
  const root = isSharedPair ? (await sharedPlaceOf(data)).objects : data
  const found: string[] = []
  for (const path of await filesBelow(join(root, 'sidecars'))) {
    if (path.endsWith('.json') && (await stat(path)).size > 0) found.push(path)
  }
  return found
}

/** The sidecar of a manifest. */
export async function sidecarFile(data: string, digest: string): Promise<string> {
  const known = digest as Digest
  if (!isSharedPair) return layoutOf(data).sidecar(known)
  return join((await sharedPlaceOf(data)).objects, sidecarKey(known))
}

/** True: bytes of it are somewhere. */
export async function hasBlob(data: string, digest: string): Promise<boolean> {
  return await filesOfBlob(data, digest).then(
    () => true,
    () => false,
  )
}

/** As if somebody had deleted its files. Throws when it is not there. */
export async function removeBlob(data: string, digest: string): Promise<void> {
  for (const path of await filesOfBlob(data, digest)) await rm(path)
}

/**
 * Changes its bytes; on the shared pair those of the object, of which there is no copy then, or those of the copy in the cache. Each
 * that is wrong costs a reader one try.
 */
export async function harmBlob(
  data: string,
  digest: string,
  harm: (path: string) => Promise<unknown>,
  where: 'object' | 'copy' = 'object',
): Promise<void> {
  const stored = await storedFile(data, digest)
  for (const path of await filesOfBlob(data, digest)) {
    const isStored = path === stored
    if (!isSharedPair || isStored === (where === 'object')) await harm(path)
    else if (!isStored) await rm(path)
  }
}

/** The catalog of a server that has ended is gone, as if its disk or database had been lost. */
export async function loseCatalog(data: string): Promise<void> {
  if (!isSharedPair) {
    for (const path of globSync(join(data, 'catalog.sqlite*'))) await rm(path)
    return
  }
  await onCatalog(data, 'DROP SCHEMA crossdock CASCADE')
}

/** The store of a data folder whose server has ended. */
export async function storedIn(data: string, clock: Clock = systemClock): Promise<Store> {
  if (!isSharedPair) return await openStore({ data, clock })
  const { s3, catalog } = await sharedPlaceOf(data)
  const place: StorePlace = {
    catalog: { kind: 'postgres', url: catalog },
    blobs: { kind: 's3', ...s3 },
    localCache: 1024 ** 3,
  }
  return await openStore({ data, clock, place })
}

/** Every text that was written for a data folder, byte for character: files, objects and rows. */
export async function everythingIn(data: string): Promise<readonly string[]> {
  const files = await filesBelow(data)
  if (!isSharedPair) {
    if (!files.some((path) => path.endsWith('/catalog.sqlite'))) throw new Error('no catalog')
    return await textsOf(files)
  }
  const objects = await filesBelow((await sharedPlaceOf(data)).objects)
  const rows = await onCatalog(
    data,
    `SELECT query_to_xml('SELECT * FROM crossdock.' || quote_ident(tablename), true, false, '')::text
     FROM pg_tables WHERE schemaname = 'crossdock'`,
  )
  if (objects.length === 0 || rows.length === 0) throw new Error('no store')
  return [...(await textsOf([...files, ...objects])), ...rows.flatMap(Object.values).map(String)]
}

/** A copy of a store whose server has ended, for another data folder; what was there is gone. */
export async function copyStore(from: string, to: string): Promise<void> {
  await rm(to, { recursive: true, force: true })
  await cp(from, to, { recursive: true })
  if (!isSharedPair) return
  const [source, target] = [await sharedPlaceOf(from), await sharedPlaceOf(to)]
  await rename(localFolder(to, source.s3), localFolder(to, target.s3))
  await rm(target.objects, { recursive: true, force: true })
  // ETags are extended attributes.
  await mustRun('cp', ['-a', source.objects, target.objects])
  const address = new URL('/', target.catalog).href
  await onServer(address, `DROP DATABASE ${target.database} WITH (FORCE)`)
  await onServer(address, `CREATE DATABASE ${target.database} TEMPLATE ${source.database}`)
  await onCatalog(to, `UPDATE crossdock.identity SET store = '${nameOf(target.s3)}'`)
}

/** As the next start of a server does it: on the shared pair commands make no catalog by themselves. */
export async function refillCatalog(data: string): Promise<void> {
  if (isSharedPair) await (await storedIn(data))[Symbol.asyncDispose]()
}

/** Runs a statement in the database of a store on the shared pair. */
export async function onCatalog(data: string, statement: string): Promise<readonly object[]> {
  const { client: make } = await loadDriver()
  const client = make({ connectionString: (await sharedPlaceOf(data)).catalog })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows
  } finally {
    await client.end()
  }
}

async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

async function textsOf(files: readonly string[]): Promise<readonly string[]> {
  return await Promise.all(files.map((path) => readFile(path, 'latin1')))
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
