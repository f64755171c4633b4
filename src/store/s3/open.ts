/** Opens the half of a store that lies on S3: blobs behind a cache on disk, sidecars, journal. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SingleFlight } from '../../lib/single-flight.ts'
import { DiskSpace } from '../disk-space.ts'
import { FileReader } from '../file-bytes.ts'
import { FsBlobs } from '../fs-blobs.ts'
import type { BlobsHalf, LocalParts, StorePlace } from '../halves.ts'
import { FILE_MODE, makeFolder } from '../layout.ts'
import { Spool } from '../spool.ts'
import { readDocumentIn } from '../stored-documents.ts'
import { CacheSpace } from './cache-space.ts'
import { DiskCache } from './disk-cache.ts'
import { Objects } from './objects.ts'
import { S3_LIMITS, type S3Place } from './place.ts'
import { RemoteBlobs } from './remote-blobs.ts'
import { S3Blobs } from './s3-blobs.ts'
import { S3Journal } from './s3-journal.ts'
import { loadPresigner } from './sdk.ts'
import { S3Sidecars } from './s3-sidecars.ts'
import { checkSemantics } from './semantics.ts'
import { abortUploads } from './stale-uploads.ts'
import { Swaps } from './swaps.ts'

/** Beside catalog, spool and cache: that the server's semantics were tried, and whose data folder it is. */
const CHECKED = 'checked'
const OWNER = 'owner'

/** Whoever asks whether it is ready waits no longer for S3, ms. */
const CHECK_MS = 2_000

/** An upload in parts that began so long ago has lost whoever began it, ms. */
const STALE_UPLOAD_MS = 24 * 3_600_000

export async function openS3Half(
  place: S3Place,
  { localCache, redirect = false }: Pick<StorePlace, 'localCache' | 'redirect'>,
  local: LocalParts,
): Promise<BlobsHalf> {
  // What is missing is said at the start.
  if (redirect) await loadPresigner()
  const { layout, temp, monotonic, now, isThere, reach, s3Limits = S3_LIMITS } = local
  const objects = await Objects.open(place, s3Limits, reach)
  try {
    await makeFolder(layout.blobs)
    if (!isThere) await checkOnce(objects, join(layout.data, CHECKED))
  } catch (error) {
    objects[Symbol.dispose]()
    throw error
  }
  const tidy = async () => void (await abortUploads(objects, now() - STALE_UPLOAD_MS))
  // Whoever only runs commands has no server that does it now and then.
  tidy().catch(() => undefined)
  const space = new CacheSpace(DiskSpace.of(layout.data, monotonic), () => cache)
  const reader = new FileReader()
  const spool = new Spool(temp, space, reader)
  const files = new FsBlobs(layout, spool, reader)
  const cache = new DiskCache(files, localCache, now)
  const remote = new RemoteBlobs(objects)
  const blobs = new S3Blobs({ remote, spool, files, cache, redirect, tidy })
  const swaps = new Swaps(objects)
  const glances = new SingleFlight<void>()
  const readDocument: BlobsHalf['readDocument'] = (digest) => readDocumentIn(blobs, digest)
  return {
    blobs,
    sidecars: new S3Sidecars(objects, swaps, readDocument),
    journal: new S3Journal(objects, swaps),
    readDocument,
    check: () => glances.run('check', () => objects.check(CHECK_MS)),
    async [Symbol.asyncDispose]() {
      await blobs[Symbol.asyncDispose]()
      objects[Symbol.dispose]()
    },
  }
}

/** A server does not unlearn it, and every command would ask again. */
async function checkOnce(objects: Objects, mark: string): Promise<void> {
  if (existsSync(mark)) return
  await checkSemantics(objects)
  await writeFile(mark, '', { mode: FILE_MODE })
}

/** Spool, cache and catalog of one place on S3: what belongs to another one must never be taken for this one's. */
export function localFolder(data: string, { bucket, prefix, endpoint = '' }: S3Place): string {
  const hash = createHash('sha256').update(JSON.stringify([bucket, prefix, endpoint]))
  return join(data, 's3', `${bucket}-${hash.digest('hex').slice(0, 8)}`)
}

/** Where crossdock writes on its way to that folder, and in it beside a layout's places. */
export function localPlaces(data: string, place: S3Place): readonly string[] {
  const folder = localFolder(data, place)
  return [dirname(folder), folder, join(folder, CHECKED), ownerFile(folder)]
}

export function ownerFile(folder: string): string {
  return join(folder, OWNER)
}
