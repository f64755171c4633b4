/** What an entry of a tar is, as Go's archive/tar reads it: container runtimes all use that reader. */

export type EntryType =
  | 'reg'
  | 'hardlink'
  | 'symlink'
  | 'char'
  | 'block'
  | 'dir'
  | 'fifo'
  | 'global'

/** Seconds since 1970 and the nanoseconds after them (0 to 999,999,999). */
export interface TarTime {
  readonly seconds: number
  readonly nanos: number
}

export interface TarEntry {
  readonly type: EntryType
  /** As written in the tar: `./a`, `/a` and `dir/` keep their spelling. */
  readonly name: string
  /** Target of a hard link or symlink. */
  readonly linkName: string
  /** The number in the header, file type bits and all. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: string
  readonly groupName: string
  /** The bytes of these texts, one character (U+0000 to U+00FF) each, for formats that carry any name. */
  readonly bytes: TarNames
  /** Bytes of content; 0 for everything but regular files and global headers. */
  readonly size: number
  readonly mtime: TarTime
  readonly atime: TarTime | undefined
  readonly ctime: TarTime | undefined
  readonly devMajor: number
  readonly devMinor: number
  readonly xattrs: ReadonlyMap<string, Uint8Array>
  /** Keys of all PAX records that apply to this entry, or that a global header sets. */
  readonly paxKeys: readonly string[]
  /** Records of the entry's own extended header, their bytes likewise. */
  readonly pax?: ReadonlyMap<string, string> | undefined
  /** False when the name, the link's target or an xattr's name is not UTF-8, so that JSON cannot carry it. */
  readonly isText: boolean
  /** False when the owner's or group's name is not UTF-8. */
  readonly hasTextOwner: boolean
}

export interface TarNames {
  readonly name: string
  readonly linkName: string
  readonly userName: string
  readonly groupName: string
}

/** The tar is broken, or readers disagree about what it holds. */
export class AmbiguousTarError extends Error {
  override readonly name = 'AmbiguousTarError'
}

/** The path an entry lands at, without a leading slash; the root is empty. */
export function cleanName(name: string): string {
  if (CLEAN.test(name)) return name
  const parts: string[] = []
  for (const part of name.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return parts.join('/')
}

/** Names that are clean already, which nearly all are: no empty, `.` or `..` component. */
const CLEAN = /^(?!\.{1,2}(?:\/|$))[^/]+(?:\/(?!\.{1,2}(?:\/|$))[^/]+)*$/

const GLOBAL_REFUSED = new Set(['path', 'linkpath', 'size'])

/**
 * Throws AmbiguousTarError for a global header that matters: Go ignores all of them but for showing them, other readers apply them,
 * so both see the same files only without one that renames or resizes what follows.
 */
export function checkGlobalHeader({ paxKeys }: TarEntry): void {
  if (!paxKeys.some((key) => GLOBAL_REFUSED.has(key))) return
  throw new AmbiguousTarError('a global header renames or resizes what follows')
}
