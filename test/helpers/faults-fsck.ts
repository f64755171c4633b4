/** What must be true of every data folder whose processes have ended, however they did: the invariants of docs/reliability.md. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Digest } from '../../src/oci/digest.ts'
import type { Sidecar } from '../../src/ports/sidecars.ts'
import { blobFiles, localLayout, sidecarFiles, storedIn } from './stored.ts'
import { isSharedPair } from './pair.ts'

export interface Findings {
  /** Blobs that were hashed. */
  readonly blobs: number
  readonly sidecars: number
  readonly conversions: number
  /** What is wrong; nothing is what a test wants to see. */
  readonly problems: readonly string[]
}

export interface FsckOptions {
  /** Set where blobs were taken away on purpose: then recipes may name blobs that are not here. */
  readonly lossy?: boolean
  /** Set where the store was over its budget: then layers may be gone, and nothing else. */
  readonly evicted?: boolean
}

/** Opens the store at the end, as a start would: sweeps temp files and looks at the catalog. */
export async function fsck(data: string, options: FsckOptions = {}): Promise<Findings> {
  const problems: string[] = []
  const blobs = await checkBlobs(data, problems)
  const sidecars = await checkSidecars(data, blobs, problems, options)
  const conversions = await checkCatalog(data, blobs, problems, options)
  const left = await readdir((await localLayout(data)).tmp)
  if (left.length > 0) problems.push(`temp files that nobody owns: ${left}`)
  return { blobs: blobs.size, sidecars, conversions, problems }
}

/** Temp files of a data folder, bytes by name. */
export async function tempFiles(data: string): Promise<readonly number[]> {
  const folder = (await localLayout(data)).tmp
  const names = await readdir(folder).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (found) => found.size,
        () => 0,
      ),
    ),
  )
  return sizes
}

async function checkBlobs(data: string, problems: string[]): Promise<Set<string>> {
  const found = new Set<string>()
  for (const path of await blobFiles(data)) {
    const name = basename(path)
    const digest = await hashFile(path)
    if (digest !== name) problems.push(`blob ${name} has the bytes of ${digest}`)
    found.add(`sha256:${name}`)
    if (isSharedPair) continue
    if (!path.includes(`/sha256/${name.slice(0, 2)}/`)) problems.push(`blob ${path} lies wrong`)
    if (((await stat(path)).mode & 0o77) !== 0) problems.push(`blob ${name} is open to others`)
  }
  return found
}

async function checkSidecars(
  data: string,
  blobs: ReadonlySet<string>,
  problems: string[],
  options: FsckOptions,
): Promise<number> {
  const files = await sidecarFiles(data)
  for (const path of files) {
    const digest = `sha256:${basename(path, '.json')}`
    const sidecar = await readJson<Sidecar>(path)
    if (sidecar?.digest !== digest) {
      problems.push(`sidecar ${path} is not of ${digest}`)
      continue
    }
    if (!blobs.has(digest) && !options.lossy) problems.push(`sidecar ${path} has no manifest`)
    for (const { target } of sidecar.conversion?.layers ?? []) {
      if (!blobs.has(target) && !options.lossy && !options.evicted) {
        problems.push(`converted manifest ${digest} names ${target}, which is not there`)
      }
    }
  }
  return files.length
}

/** A row of the catalog opens nothing that is not in the store. */
async function checkCatalog(
  data: string,
  blobs: ReadonlySet<string>,
  problems: string[],
  options: FsckOptions,
): Promise<number> {
  await using store = await storedIn(data)
  await store.catalog.check()
  const needs = (digest: Digest, why: string) => {
    if (!blobs.has(digest) && !options.lossy) problems.push(`${why} names ${digest}, not there`)
  }
  for await (const { name, tag, digest } of store.catalog.tags.list()) {
    needs(digest, `tag ${name}:${tag}`)
  }
  const images = await store.catalog.conversions.listImages({})
  for (const image of images) {
    needs(image.target, `conversion of ${image.source}`)
    needs(image.source, `conversion to ${image.target}`)
    for (const layer of options.evicted ? [] : image.layers) {
      needs(layer.target, `converted image ${image.target}`)
    }
    const sidecar = await store.sidecars.read(image.target)
    if (sidecar?.conversion === undefined) problems.push(`${image.target} has no recipe beside it`)
  }
  return images.length
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch {
    return undefined
  }
}
