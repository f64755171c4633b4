/** Table of contents of the lazy formats (stargz-snapshotter "docs/estargz.md", and podman's dialect of it): entries and their JSON. */
import { setImmediate } from 'node:timers/promises'
import { type Digest, Hasher } from '../oci/digest.ts'
import { AmbiguousTarError, cleanName, type TarEntry, type TarTime } from '../tar/entry.ts'

/** Keys as in the JSON. What is zero or empty is left out. */
export interface TocEntry {
  type: 'dir' | 'reg' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo' | 'chunk'
  name: string
  linkName?: string
  mode?: number
  size?: number
  uid?: number
  gid?: number
  userName?: string
  groupName?: string
  modtime?: string
  accesstime?: string
  changetime?: string
  devMajor?: number
  devMinor?: number
  /** Name to value in base64. */
  xattrs?: Record<string, string>
  digest?: string
  /** Where in the blob the piece with this content begins. */
  offset?: number
  endOffset?: number
  innerOffset?: number
  chunkSize?: number
  chunkOffset?: number
  chunkDigest?: string
  chunkType?: 'zeros'
}

/** More are refused: nobody has them, and clients hold all of them in memory. */
export const MAX_ENTRIES = 2_000_000
/** Bytes of names, links and xattrs; a small layer can have entries with 1 MiB of them each. */
export const MAX_WORDS = 256 * 1024 * 1024

/** Name of the file in the tar that holds an eStargz's table, and of its two marks. */
export const TOC_NAME = 'stargz.index.json'
export const PREFETCH_LANDMARK = '.prefetch.landmark'
export const NO_PREFETCH_LANDMARK = '.no.prefetch.landmark'

/** True for what eStargz puts into a layer beside the user's files. */
export function isReserved(cleanedName: string): boolean {
  return (
    cleanedName === TOC_NAME ||
    cleanedName === PREFETCH_LANDMARK ||
    cleanedName === NO_PREFETCH_LANDMARK
  )
}

/** Refuses a layer that a table of contents cannot describe so that all its readers see the same. */
export class EntryRules {
  readonly #seen = new Set<string>()
  #words = 0

  /** Throws AmbiguousTarError. */
  check(entry: TarEntry): void {
    const name = cleanName(entry.name)
    const shown = JSON.stringify(entry.name.slice(0, 200))
    if (!entry.isText) throw new AmbiguousTarError(`${shown} is a name or link that is not UTF-8`)
    if (name === '' && entry.type !== 'dir')
      throw new AmbiguousTarError(`${shown} is no name for a file`)
    if (this.#seen.has(name)) throw new AmbiguousTarError(`${shown} is there twice`)
    if (this.#seen.size >= MAX_ENTRIES) {
      throw new AmbiguousTarError(`the layer has more than ${MAX_ENTRIES} entries`)
    }
    this.#words += wordsOf(entry)
    if (this.#words > MAX_WORDS) {
      throw new AmbiguousTarError(
        `the layer has more than ${MAX_WORDS} bytes of names, links and xattrs`,
      )
    }
    if (entry.type === 'hardlink' && !this.#seen.has(cleanName(entry.linkName))) {
      throw new AmbiguousTarError(
        `${shown} is a hard link to what the layer does not hold before it`,
      )
    }
    if (Math.min(entry.mode, entry.uid, entry.gid, entry.devMajor, entry.devMinor) < 0) {
      throw new AmbiguousTarError(`${shown} has a negative mode, owner or device number`)
    }
    this.#seen.add(name)
  }
}

function wordsOf({ name, linkName, xattrs }: TarEntry): number {
  let size = name.length + linkName.length
  for (const [key, value] of xattrs) size += key.length + value.length
  return size
}

/** What eStargz says of an entry, places and digests left out: seconds and names of owners. */
export function estargzEntry(entry: TarEntry): TocEntry {
  const isDevice = entry.type === 'char' || entry.type === 'block'
  const toc = baseEntry(entry)
  const { seconds, nanos } = entry.mtime
  setTime(toc, 'modtime', { seconds: seconds + (nanos >= 500_000_000 ? 1 : 0), nanos: 0 })
  if (entry.userName !== '') toc.userName = entry.userName
  if (entry.groupName !== '') toc.groupName = entry.groupName
  if (isDevice) setDevice(toc, entry)
  return toc
}

/** What zstd:chunked says of an entry: podman compares it with the tar's header, to the nanosecond. */
export function chunkedEntry(entry: TarEntry): TocEntry {
  const toc = baseEntry(entry)
  setTime(toc, 'modtime', entry.mtime)
  setTime(toc, 'accesstime', entry.atime)
  setTime(toc, 'changetime', entry.ctime)
  setDevice(toc, entry)
  return toc
}

function baseEntry(entry: TarEntry): TocEntry {
  if (entry.type === 'global')
    throw new AmbiguousTarError('a global header has no place in a table of contents')
  const toc: TocEntry = { type: entry.type, name: entry.name }
  const isLink = entry.type === 'symlink' || entry.type === 'hardlink'
  if (isLink && entry.linkName !== '') toc.linkName = entry.linkName
  if (entry.mode !== 0) toc.mode = entry.mode
  if (entry.size !== 0) toc.size = entry.size
  if (entry.uid !== 0) toc.uid = entry.uid
  if (entry.gid !== 0) toc.gid = entry.gid
  if (entry.xattrs.size > 0) {
    toc.xattrs = Object.fromEntries(
      [...entry.xattrs].map(([name, value]) => [name, Buffer.from(value).toString('base64')]),
    )
  }
  return toc
}

function setDevice(toc: TocEntry, entry: TarEntry): void {
  if (entry.devMajor !== 0) toc.devMajor = entry.devMajor
  if (entry.devMinor !== 0) toc.devMinor = entry.devMinor
}

/** 1970 is the same as no time to every reader. */
function setTime(
  toc: TocEntry,
  key: 'modtime' | 'accesstime' | 'changetime',
  time: TarTime | undefined,
): void {
  if (time === undefined || (time.seconds === 0 && time.nanos === 0)) return
  const text = rfc3339(time)
  if (text === undefined) {
    throw new AmbiguousTarError(
      `${JSON.stringify(toc.name)} has a time outside the years 0 to 9999`,
    )
  }
  toc[key] = text
}

/** RFC 3339 in UTC, with as many digits as needed; `undefined` outside the years 0 to 9999. */
export function rfc3339({ seconds, nanos }: TarTime): string | undefined {
  const date = new Date(seconds * 1000)
  const text = Number.isNaN(date.getTime()) ? '' : date.toISOString()
  if (!/^\d{4}-/.test(text)) return undefined
  const fraction = nanos === 0 ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`
  return `${text.slice(0, 19)}${fraction}Z`
}

/** The finished JSON, in parts of about PART_SIZE. */
export interface TocJson {
  readonly parts: readonly Uint8Array[]
  readonly size: number
  readonly digest: Digest
}

/** Characters that are gathered before they become bytes. */
const PART_SIZE = 256 * 1024

/** Writes the JSON entry by entry, so that no step is long and no entry is kept. */
export class TocWriter {
  readonly #parts: Uint8Array[] = []
  readonly #hasher = new Hasher()
  #text = '{"version":1,"entries":['
  #isFirst = true

  /** Bytes so far, but for the last PART_SIZE. */
  get size(): number {
    return this.#hasher.size
  }

  add(entry: TocEntry): void {
    const json = JSON.stringify(inOrder(entry))
    this.#text += this.#isFirst ? json : `,${json}`
    this.#isFirst = false
    if (this.#text.length >= PART_SIZE) this.#flush()
  }

  /** Ends it with the last brace: clients hash no more than that. */
  finish(tail: { readonly tarSplitDigest?: Digest } = {}): TocJson {
    this.#text += tail.tarSplitDigest ? `],"tarSplitDigest":"${tail.tarSplitDigest}"}` : ']}'
    this.#flush()
    return { parts: this.#parts, size: this.#hasher.size, digest: this.#hasher.digest() }
  }

  #flush(): void {
    const bytes = Buffer.from(this.#text)
    this.#text = ''
    this.#hasher.update(bytes)
    this.#parts.push(bytes)
  }
}

/** Keys in one order, whatever became known first: what is left out stays out. */
function inOrder(entry: TocEntry): Record<keyof TocEntry, unknown> {
  return {
    type: entry.type,
    name: entry.name,
    linkName: entry.linkName,
    mode: entry.mode,
    size: entry.size,
    uid: entry.uid,
    gid: entry.gid,
    userName: entry.userName,
    groupName: entry.groupName,
    modtime: entry.modtime,
    accesstime: entry.accesstime,
    changetime: entry.changetime,
    devMajor: entry.devMajor,
    devMinor: entry.devMinor,
    xattrs: entry.xattrs,
    digest: entry.digest,
    offset: entry.offset,
    endOffset: entry.endOffset,
    innerOffset: entry.innerOffset,
    chunkSize: entry.chunkSize,
    chunkOffset: entry.chunkOffset,
    chunkDigest: entry.chunkDigest,
    chunkType: entry.chunkType,
  }
}

/** Entries that are written before other work gets its turn: well below a millisecond. */
const BATCH = 256

/** Adds what pieces settle without holding up the event loop, however many entries that are. */
export async function addEntries(
  toc: TocWriter,
  packed: readonly { readonly piece: { readonly settles: readonly TocEntry[] } }[],
): Promise<void> {
  let added = 0
  for (const { piece } of packed) {
    for (const entry of piece.settles) {
      toc.add(entry)
      added += 1
      if (added % BATCH === 0) await setImmediate()
    }
  }
}
