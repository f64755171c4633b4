/** Where a bundle is written and how it is packed, out of what was typed. */
import { availableParallelism } from 'node:os'
import { basename, dirname } from 'node:path'
import type { ExportTarget } from '../bundle/export-task.ts'
import {
  compressionOfName,
  hasExtension,
  isArchiveName,
  OUTER_COMPRESSIONS,
  OUTER_LEVELS,
  type OuterCompression,
} from '../bundle/outer-compression.ts'
import { checkEmpty, isFolder, noParent } from '../bundle/output-files.ts'
import { parseSize } from '../config/units.ts'
import { UsageError } from './output.ts'

export interface OutputOptions {
  readonly output: string
  readonly compress?: string
  readonly level?: string
  readonly threads?: string
  readonly split?: string
}

/** A folder when nothing says archive: no extension, a slash at the end, or a folder that is there. Throws UsageError, and `refused` where something is. */
export async function targetOf(
  options: OutputOptions,
  path: string,
  format: string,
): Promise<ExportTarget> {
  const { output, compress, split } = options
  if (!(await isFolder(dirname(path)))) throw new UsageError(`--output: ${noParent(path)}`)
  const asksForArchive = compress !== undefined || split !== undefined || format === 'docker'
  const isMeant = output.endsWith('/') || (await isFolder(path))
  if (isMeant || !(asksForArchive || isArchiveName(path) || hasExtension(path))) {
    if (asksForArchive) {
      throw new UsageError(
        `--output ${path} is a folder; give a file such as ${basename(path)}.tar`,
      )
    }
    // Not after hours of work.
    await checkEmpty(path)
    return { kind: 'folder', path }
  }
  const compression = compressionOf(compress, path)
  const { min, max } = OUTER_LEVELS[compression]
  return {
    kind: 'archive',
    path,
    outer: {
      compression,
      level: parseNumber('--level', options.level, min, max),
      threads: parseNumber('--threads', options.threads, 1, 256) ?? availableParallelism(),
    },
    split: split === undefined ? undefined : parseVolume(split),
  }
}

/** Whether a bundle that is read is the one that is to be written, or a volume of it. */
export function isSameBundle(path: string, output: string): boolean {
  return path === output || path.replace(/\.(?:\d{3,}|sha256)$/, '') === output
}

function compressionOf(asked: string | undefined, path: string): OuterCompression {
  if (asked === undefined) {
    const isOther = hasExtension(path) && !isArchiveName(path)
    const byName = isArchiveName(path) ? compressionOfName(path) : 'none'
    if (byName !== undefined && !isOther) return byName
    throw new UsageError(
      `--output ${path} has an extension that crossdock does not write; use .tar, .tar.zst (.tzst) or .tar.xz (.txz), say --compress, or end it with / for a folder`,
    )
  }
  const known = OUTER_COMPRESSIONS.find((one) => one === asked)
  if (known !== undefined) return known
  throw new UsageError(`--compress ${asked} does not exist; use ${OUTER_COMPRESSIONS.join(', ')}`)
}

function parseNumber(
  option: string,
  text: string | undefined,
  min: number,
  max: number,
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new UsageError(`${option} ${text} is not possible here; use ${min} to ${max}`)
}

function parseVolume(text: string): number {
  const bytes = parseSize(text)
  if (bytes !== undefined && bytes > 0) return bytes
  throw new UsageError(`--split ${text} is no size; use 4GiB or 700MB, say`)
}
