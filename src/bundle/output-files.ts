/** Where an export goes: files that appear whole or not at all, in one piece or in volumes for small media. */
import { mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { Hasher, hexOf } from '../oci/digest.ts'
import type { FileEntry } from './entry.ts'
import { makeTemporary } from './temporary-folders.ts'

export interface WrittenFile {
  readonly path: string
  readonly size: number
}

/** More volumes than anybody would carry. */
const MAX_VOLUMES = 9_999

/**
 * Writes an archive, in volumes of at most `split` bytes (`FILE.001`, ... and `FILE.sha256`, which sha256sum can check).
 * Everything has its final name only when all of it is durable. Throws `storeFull` when the disk is full.
 */
export async function writeArchive(
  file: string,
  bytes: ByteStream,
  split?: number,
): Promise<readonly WrittenFile[]> {
  const written = await replaceIn(dirname(resolve(file)), file, async (folder) => {
    if (split === undefined) {
      const written = new Volume(join(folder, basename(file)))
      await using volume = await written.open()
      for await (const chunk of bytes) await volume.write(chunk)
      await volume.finish()
      return [written]
    }
    return await writeVolumes(join(folder, basename(file)), bytes, split)
  })
  await removeReplaced(resolve(file), new Set(written.map(({ path }) => basename(path))))
  return written
}

/** What an earlier bundle of this name had more: a file in one piece, or volumes. An import would take them for ours. */
async function removeReplaced(file: string, kept: ReadonlySet<string>): Promise<void> {
  const stem = basename(file)
  const names = (await readdir(dirname(file)).catch(() => [])).filter((name) => !kept.has(name))
  const old = names.filter((name) => name === stem || isVolume(name, stem))
  // Alone, a list of checksums may be anybody's.
  const sums = old.length > 0 && !kept.has(`${stem}.sha256`) ? [`${stem}.sha256`] : []
  for (const name of [...old, ...sums]) await rm(join(dirname(file), name)).catch(() => undefined)
}

function isVolume(name: string, stem: string): boolean {
  return name.startsWith(`${stem}.`) && /^\d{3,4}$/.test(name.slice(stem.length + 1))
}

async function writeVolumes(file: string, bytes: ByteStream, split: number): Promise<Volume[]> {
  const volumes: Volume[] = []
  await using current = { volume: await begin(file, volumes), [Symbol.asyncDispose]: close }
  async function close() {
    await current.volume[Symbol.asyncDispose]()
  }
  for await (const chunk of bytes) {
    for (let rest = chunk; rest.byteLength > 0; ) {
      if (current.volume.size === split) {
        await current.volume.finish()
        current.volume = await begin(file, volumes)
      }
      const part = rest.subarray(0, split - current.volume.size)
      await current.volume.write(part)
      rest = rest.subarray(part.byteLength)
    }
  }
  await current.volume.finish()
  const sums = new Volume(`${file}.sha256`)
  await using list = await sums.open()
  const lines = volumes.map((volume) => `${volume.hex}  ${basename(volume.path)}\n`)
  await list.write(new TextEncoder().encode(lines.join('')))
  await list.finish()
  return [...volumes, sums]
}

async function begin(file: string, volumes: Volume[]): Promise<Volume> {
  if (volumes.length === MAX_VOLUMES) {
    throw new CrossdockError(
      'refused',
      `${file} would have more than ${MAX_VOLUMES} volumes; choose a larger --split`,
    )
  }
  const volume = new Volume(`${file}.${String(volumes.length + 1).padStart(3, '0')}`)
  volumes.push(volume)
  return await volume.open()
}

/**
 * Writes files into a folder that is not there yet or empty; it appears when all of them are durable.
 * Throws `refused` when there is something already.
 */
export async function writeFolder(
  folder: string,
  files: AsyncIterable<FileEntry>,
): Promise<readonly WrittenFile[]> {
  const target = resolve(folder)
  await checkEmpty(folder)
  return await replaceIn(dirname(target), folder, async (temporary) => {
    const root = join(temporary, basename(target))
    const folders = new Set<string>()
    let size = 0
    for await (const file of files) {
      size += file.size
      const path = join(root, file.name)
      await mkdir(dirname(path), { recursive: true })
      folders.add(dirname(path))
      await using volume = await new Volume(path).open()
      for await (const chunk of file.read()) await volume.write(chunk)
      await volume.finish()
    }
    for (const one of folders) await syncFolder(one)
    await rmdir(target).catch(() => undefined)
    return [{ path: root, size }]
  })
}

/** Runs `work` in a temporary folder beside the target and moves what it names to its place, or removes everything. */
async function replaceIn(
  parent: string,
  wanted: string,
  work: (folder: string) => Promise<readonly WrittenFile[]>,
): Promise<readonly WrittenFile[]> {
  let temporary: string | undefined
  try {
    temporary = await makeTemporary(parent)
    const written = await moveAll(parent, await work(temporary))
    await syncFolder(parent)
    return written
  } catch (error) {
    if (temporary === undefined && (error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new CrossdockError('refused', noParent(wanted), { cause: error })
    }
    throw describeWriteError(wanted, error)
  } finally {
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
  }
}

/** All of it or nothing: volumes without the others are of no use. */
async function moveAll(parent: string, files: readonly WrittenFile[]): Promise<WrittenFile[]> {
  const written: WrittenFile[] = []
  try {
    for (const { path, size } of files) {
      const final = join(parent, basename(path))
      await rename(path, final)
      written.push({ path: final, size })
    }
    return written
  } catch (error) {
    for (const { path } of written) await rm(path, { recursive: true, force: true })
    throw error
  }
}

/** A mistyped path is not to fill a folder that nobody looks into. */
export function noParent(wanted: string): string {
  return `${wanted} cannot be written: there is no folder ${dirname(resolve(wanted))}; create it or choose another place`
}

/** One file while it is written. */
class Volume implements WrittenFile {
  readonly path: string
  size = 0
  readonly #hasher = new Hasher()
  #file: Awaited<ReturnType<typeof open>> | undefined
  #hex = ''

  constructor(path: string) {
    this.path = path
  }

  /** sha256 of the content, when finished. */
  get hex(): string {
    return this.#hex
  }

  async open(): Promise<this> {
    this.#file = await open(this.path, 'wx', 0o644)
    return this
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hasher.update(bytes)
    for (let rest = bytes; rest.byteLength > 0; ) {
      const { bytesWritten = 0 } = (await this.#file?.write(rest)) ?? {}
      rest = rest.subarray(bytesWritten)
    }
    this.size += bytes.byteLength
  }

  async finish(): Promise<void> {
    await this.#file?.sync()
    this.#hex = hexOf(this.#hasher.digest())
    await this[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file?.close()
    this.#file = undefined
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** A full disk and a forbidden folder said plainly; anything else as it is. */
export function describeWriteError(file: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CrossdockError(
      'storeFull',
      `${file} cannot be written: the disk is full; free some space or choose another place`,
      { cause: error },
    )
  }
  // Asked for folder in folder, Node.js says ENOENT of what lies on read-only media.
  if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT'].includes(code ?? '')) {
    return new CrossdockError(
      'refused',
      `${file} cannot be written (${code}); choose another place or change its permissions`,
      { cause: error },
    )
  }
  return error
}

/** Throws `refused` for a folder in which something is. */
export async function checkEmpty(folder: string): Promise<void> {
  const there = await readdir(folder).catch(() => [])
  if (there.length === 0) return
  throw new CrossdockError(
    'refused',
    `${folder} is not empty; choose another folder or remove what is in it`,
  )
}

export async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}
