/** What an import reads: an archive in one piece or in volumes, or a folder. */
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CrossdockError } from '../errors.ts'
import type { ByteStream } from '../lib/streams.ts'
import { Hasher, hexOf } from '../oci/digest.ts'
import type { Entry, FileEntry } from './entry.ts'
import { decompressOuter } from './outer-compression.ts'
import { readTar } from './tar-archive.ts'

const READ_SIZE = 1024 * 1024
const MAX_SUMS = 4 * 1024 * 1024
/** Folders in folders; a layout has three levels. */
const MAX_DEPTH = 8

export interface BundleInput {
  /** What to call it in messages. */
  readonly name: string
  /** Everything in it, once through. */
  entries(): AsyncIterable<Entry>
  /** After a failure: throws something better when it is a volume that is damaged. */
  explain(): Promise<void>
}

/** Throws `notFound` when there is nothing of that name, and when a volume is missing. */
export async function openBundle(path: string): Promise<BundleInput> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory()) {
    return { name: path, entries: () => readFolder(path), explain: async () => undefined }
  }
  const volumes = await findVolumes(path, found !== undefined)
  const files = volumes?.map(({ file }) => file) ?? [path]
  return {
    name: path,
    entries: () => readTar(decompressOuter(readFiles(files))),
    explain: async () => await checkVolumes(volumes ?? []),
  }
}

interface Volume {
  readonly file: string
  /** What its sha256 must be; `undefined` when no list of checksums is there. */
  readonly hex: string | undefined
}

/** `undefined`: the path is a file of its own. Any volume, the list of checksums or the common name means all of them. */
async function findVolumes(path: string, exists: boolean): Promise<Volume[] | undefined> {
  const base = /^(.*)\.(?:\d{3,4}|sha256)$/.exec(path)?.[1]
  if (exists && base === undefined) return undefined
  const stem = base ?? path
  const listed = await readSums(stem)
  const volumes = listed ?? (await consecutive(stem))
  if (volumes.length === 0) {
    if (exists) return undefined
    throw new CrossdockError('notFound', `${path} is not there; check the path of the bundle`)
  }
  const missing = await Promise.all(
    volumes.map(async ({ file }) => (await stat(file).catch(() => undefined)) === undefined),
  )
  const at = missing.indexOf(true)
  if (at >= 0) {
    throw new CrossdockError(
      'notFound',
      `volume ${at + 1} of ${volumes.length}, ${volumes[at]?.file}, is missing; copy it beside the others`,
      { reason: 'volume-missing' },
    )
  }
  return volumes
}

async function readSums(stem: string): Promise<Volume[] | undefined> {
  const info = await stat(`${stem}.sha256`).catch(() => undefined)
  if (info === undefined || info.size > MAX_SUMS) return undefined
  const text = await readFile(`${stem}.sha256`, 'utf8')
  const lines = [...text.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)]
  const volumes = lines.map(([, hex, name = '']) => ({
    hex,
    file: join(dirname(stem), basename(name)),
  }))
  return volumes.some(({ file }) => file.startsWith(`${join(stem)}.`)) ? volumes : undefined
}

async function consecutive(stem: string): Promise<Volume[]> {
  const names = await readdir(dirname(stem)).catch(() => [])
  const numbers = names
    .filter((name) => name.startsWith(`${basename(stem)}.`))
    .map((name) => name.slice(basename(stem).length + 1))
    .filter((number) => /^\d{3,4}$/.test(number))
    .map(Number)
  // A lone file whose name ends in digits is no volume, unless it is the first.
  if (numbers.length === 1 && numbers[0] !== 1) return []
  const last = numbers.reduce((most, number) => Math.max(most, number), 0)
  return Array.from({ length: last }, (_, i) => ({
    hex: undefined,
    file: `${stem}.${String(i + 1).padStart(3, '0')}`,
  }))
}

async function checkVolumes(volumes: readonly Volume[]): Promise<void> {
  for (const [i, { file, hex }] of volumes.entries()) {
    if (hex === undefined) continue
    const hasher = new Hasher()
    for await (const chunk of readFiles([file])) hasher.update(chunk)
    if (hexOf(hasher.digest()) === hex) continue
    throw new CrossdockError(
      'badDigest',
      `volume ${i + 1} of ${volumes.length}, ${file}, is damaged: its checksum differs; copy it again`,
      { reason: 'volume-damaged' },
    )
  }
}

/** One file after the other, as one stream. */
export async function* readFiles(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const path of paths) {
    const file = await open(path, 'r')
    try {
      for (;;) {
        const { buffer, bytesRead } = await file.read(
          Buffer.allocUnsafeSlow(READ_SIZE),
          0,
          READ_SIZE,
        )
        if (bytesRead === 0) break
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await file.close()
    }
  }
}

/** Every file below a folder, in the order of their names. */
async function* readFolder(root: string, below = '', depth = 0): AsyncGenerator<FileEntry> {
  if (depth > MAX_DEPTH) return
  const found = await readdir(join(root, below), { withFileTypes: true })
  const names = found.map((one) => one.name).sort()
  for (const name of names) {
    const path = below === '' ? name : `${below}/${name}`
    const info = await stat(join(root, path))
    if (info.isDirectory()) yield* readFolder(root, path, depth + 1)
    else if (info.isFile()) yield folderFile(root, path, info.size)
  }
}

function folderFile(root: string, name: string, size: number): FileEntry {
  const read = (): ByteStream => readFiles([join(root, name)])
  return { kind: 'file', name, size, read }
}
