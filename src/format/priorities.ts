/**
 * Priority lists: which files a container opens first. Read from record files (stargz-snapshotter "recorder": one JSON object a
 * line, as `ctr-remote image optimize` writes them) and from what an eStargz was given when it was made.
 */
import { gzip } from '../codec/gzip.ts'
import { CrossdockError } from '../errors.ts'
import { type ByteStream, collect } from '../lib/streams.ts'
import { AmbiguousTarError, cleanName } from '../tar/entry.ts'
import { readTar } from '../tar/reader.ts'
import { FOOTER_SIZE, parseEstargzFooter } from './estargz-footer.ts'
import { PREFETCH_LANDMARK, TOC_NAME } from './toc.ts'

/** Name of the file that a record image holds. */
export const RECORD_NAME = 'stargz.record.json'

/** One access, in the order of the file. */
export interface RecordLine {
  /** Without a leading slash. */
  readonly path: string
  /** The platform's manifest that was watched. */
  readonly manifestDigest?: string
  /** 0 is the base layer. */
  readonly layerIndex?: number
}

/** Larger tables are refused, as podman refuses them. */
const LIMITS = { maxOutput: 150 * 1024 * 1024, maxWindowLog: 27 }

/** Throws `requestInvalid` with the line that is none. Keys that are not known are passed over. */
export function parseRecord(text: string): readonly RecordLine[] {
  const lines: RecordLine[] = []
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    lines.push(parseLine(line, i + 1))
  }
  return lines
}

export function writeRecord(lines: readonly RecordLine[]): string {
  return lines
    .map(({ path, manifestDigest, layerIndex }) =>
      JSON.stringify({ path, manifestDigest, layerIndex }),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** Distinct paths in the order of their first access: what `LayerContext.priorities` takes. */
export function priorityPaths(lines: readonly RecordLine[]): readonly string[] {
  return [...new Set(lines.map((line) => line.path))]
}

/**
 * What was placed before the landmark of an eStargz, in order, folders left out since they come along anyway. Empty when
 * nothing was; `undefined` when the blob is no eStargz. Throws what the decoder throws for a corrupt one.
 */
export async function readPriorities(blob: {
  readonly size: number
  read(range: { readonly start: number; readonly end: number }): ByteStream
}): Promise<readonly string[] | undefined> {
  const end = blob.size - FOOTER_SIZE
  if (end <= 0) return undefined
  const footer = await collect(blob.read({ start: end, end: blob.size }), FOOTER_SIZE)
  const start = parseEstargzFooter(footer)
  if (start === undefined || start >= end) return undefined
  const json = await readTable(blob.read({ start, end }))
  const entries: unknown = json?.entries
  if (!Array.isArray(entries)) return undefined
  const named = entries.filter(isNamed)
  const landmark = named.findIndex(({ name }) => cleanName(name) === PREFETCH_LANDMARK)
  return named
    .slice(0, Math.max(landmark, 0))
    .filter(({ type }) => type !== 'dir' && type !== 'chunk')
    .map(({ name }) => cleanName(name))
}

function parseLine(line: string, number: number): RecordLine {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw notARecord(number, 'is not JSON', error)
  }
  if (typeof value !== 'object' || value === null) throw notARecord(number, 'is not an object')
  const { path, manifestDigest, layerIndex } = value as Readonly<Record<string, unknown>>
  if (typeof path !== 'string' || cleanName(path) === '') throw notARecord(number, 'has no path')
  return {
    path: cleanName(path),
    ...(typeof manifestDigest === 'string' ? { manifestDigest } : {}),
    ...(Number.isSafeInteger(layerIndex) ? { layerIndex: Number(layerIndex) } : {}),
  }
}

function notARecord(number: number, what: string, cause?: unknown): CrossdockError {
  return new CrossdockError(
    'requestInvalid',
    `line ${number} of the record ${what}; each line must be an object like {"path":"usr/bin/env"}`,
    { cause, reason: 'record' },
  )
}

/** The table's JSON out of its gzip member; `undefined` when there is none. */
async function readTable(
  member: ByteStream,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const parts: Uint8Array[] = []
  let isTable = false
  try {
    for await (const event of readTar(gzip.decode(member, LIMITS))) {
      if (event.kind === 'entry') isTable = cleanName(event.entry.name) === TOC_NAME
      if (event.kind === 'data' && isTable) parts.push(event.bytes)
    }
    const value: unknown = JSON.parse(Buffer.concat(parts).toString())
    return typeof value === 'object' && value !== null ? { ...value } : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof AmbiguousTarError) return undefined
    throw error
  }
}

function isNamed(entry: unknown): entry is { readonly name: string; readonly type: unknown } {
  return (
    typeof entry === 'object' &&
    entry !== null &&
    'name' in entry &&
    typeof entry.name === 'string' &&
    'type' in entry
  )
}
