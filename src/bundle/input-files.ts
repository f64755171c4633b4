/** What an import reads: an archive in one piece or in volumes, or a folder. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CrossdockError } from '../errors.ts'
import { Hasher, hexOf } from '../oci/digest.ts'
import type { Entry } from './entry.ts'
import { readFolder } from './folder-files.ts'
import { decompressOuter } from './outer-compression.ts'
import { readFiles } from './read-files.ts'
import { readTar } from './tar-archive.ts'

const MAX_SUMS = 4 * 1024 * 1024

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
  for (const [i, { file }] of volumes.entries()) {
    const which = `volume ${i + 1} of ${volumes.length}, ${file},`
    const real = await realpath(file).catch(() => undefined)
    if (real === undefined) {
      throw new CrossdockError('notFound', `${which} is missing; copy it beside the others`, {
        reason: 'volume-missing',
      })
    }
    // Nobody named it but the files beside it, so it must be one of them.
    if (dirname(real) !== (await realpath(dirname(file)))) {
      throw new CrossdockError('refused', `${which} is a link to another folder; copy it here`, {
        reason: 'volume-elsewhere',
      })
    }
  }
  return volumes
}

/** Volumes by their list of checksums; other files in it are none of this bundle's. */
async function readSums(stem: string): Promise<Volume[] | undefined> {
  const info = await stat(`${stem}.sha256`).catch(() => undefined)
  if (info?.isFile() !== true || info.size > MAX_SUMS) return undefined
  const text = await readFile(`${stem}.sha256`, 'utf8')
  const volumes = [...text.matchAll(/^([0-9a-f]{64}) [ *](.+)$/gm)].flatMap(([, hex, name = '']) =>
    numberOf(name, stem) === undefined ? [] : [{ hex, file: join(dirname(stem), name) }],
  )
  return volumes.length > 0 ? volumes : undefined
}

/** `undefined`: it is no volume of this bundle. A name with a folder in it is none. */
function numberOf(name: string, stem: string): number | undefined {
  const number = name.startsWith(`${basename(stem)}.`) ? name.slice(basename(stem).length + 1) : ''
  return /^\d{3,4}$/.test(number) ? Number(number) : undefined
}

async function consecutive(stem: string): Promise<Volume[]> {
  const names = await readdir(dirname(stem)).catch(() => [])
  const numbers = names.map((name) => numberOf(name, stem)).filter((number) => number !== undefined)
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
