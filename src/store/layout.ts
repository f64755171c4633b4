/** Where things lie in the data folder, and how a file there becomes durable. */
import { constants } from 'node:fs'
import { access, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { algorithmOf, type Digest, hexOf } from '../oci/digest.ts'
import { isMissing } from './failures.ts'

/** Private images lie here: nobody but the user that runs crossdock reads them. */
export const FOLDER_MODE = 0o700
export const FILE_MODE = 0o600

export interface Layout {
  readonly data: string
  readonly blobs: string
  readonly sidecars: string
  readonly quarantine: string
  readonly tmp: string
  readonly locks: string
  readonly catalog: string
  blob(digest: Digest): string
  sidecar(digest: Digest): string
  /** The journal of who may open a blob. */
  proofs(digest: Digest): string
}

export function layoutOf(data: string): Layout {
  const blobs = join(data, 'blobs')
  const sidecars = join(data, 'sidecars')
  return {
    data,
    blobs,
    sidecars,
    quarantine: join(data, 'quarantine'),
    tmp: join(data, 'tmp'),
    locks: join(data, 'locks'),
    catalog: join(data, 'catalog.sqlite'),
    blob: (digest) => join(blobs, ...partsOf(digest)),
    sidecar: (digest) => `${join(sidecars, ...partsOf(digest))}.json`,
    proofs: (digest) => `${join(sidecars, ...partsOf(digest))}.links`,
  }
}

/** True for a folder that was ever used as a store. */
export async function isStore(data: string): Promise<boolean> {
  return await stat(layoutOf(data).blobs).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/** Fan-out by the first byte: `sha256/ab/abcd...`. */
function partsOf(digest: Digest): [string, string, string] {
  const hex = hexOf(digest)
  return [algorithmOf(digest), hex.slice(0, 2), hex]
}

/** Gives a synced file its final name, durably. */
export async function publish(from: string, to: string): Promise<void> {
  const folder = dirname(to)
  await makeFolder(folder)
  await rename(from, to)
  await syncFolder(folder)
}

/** Folders whose names are known to be durable: one that is there may have been made by somebody who has not synced it yet. */
const durable = new Set<string>()

/**
 * Makes a folder and what is missing above it, all durable. Not by Node's recursive mkdir: where a file system refuses with
 * ENOENT (/proc, say) that one never ends, and it says ENOENT where the truth is a read-only file system.
 */
export async function makeFolder(folder: string, isRetry = false): Promise<void> {
  const parent = dirname(folder)
  try {
    await mkdir(folder, { mode: FOLDER_MODE })
  } catch (error) {
    if (!(await isFolder(folder))) {
      // The parent may have come between the two questions.
      if (!isMissing(error) || (isRetry && (await isFolder(parent)))) throw error
      await makeFolder(parent)
      return await makeFolder(folder, true)
    }
    // Where we may not even look, nobody like us has made it.
    if (durable.has(folder) || !(await isReadable(parent))) return
  }
  await syncFolder(parent)
  durable.add(folder)
}

async function isReadable(folder: string): Promise<boolean> {
  return await access(folder, constants.R_OK).then(
    () => true,
    () => false,
  )
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

/**
 * How files of the store are opened to be read: a pipe in place of one would be waited for by a thread, of which there are few, for
 * ever, and by the end of the process as well. It reads as empty this way.
 */
export const READ_FLAGS: number = constants.O_RDONLY | constants.O_NONBLOCK

export async function syncFile(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A new or renamed entry survives a power cut only when its folder is synced. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
