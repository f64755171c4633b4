/** What a ztoc says of one entry of its layer's tar, and which layers it cannot describe so that the snapshotter shows the same. */
import { AmbiguousTarError, cleanName, type TarEntry } from '../../tar/entry.ts'
import { MAX_ENTRIES, MAX_WORDS, rfc3339 } from '../toc.ts'

/** Fields as in upstream's schema; texts are Latin-1, which keeps every byte. */
export interface ZtocEntry {
  readonly name: string
  readonly type: string
  /** Bytes of tar before its content, or before where that would be. */
  readonly offset: number
  readonly size: number
  readonly linkName: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: string
  readonly groupName: string
  /** RFC 3339. */
  readonly modTime: string
  readonly devMajor: number
  readonly devMinor: number
  readonly pax: ReadonlyMap<string, string>
}

const NO_RECORDS: ReadonlyMap<string, string> = new Map()
const MAX_ID = 2 ** 32 - 1

/** The entries of one layer, checked one after the other. */
export class ZtocEntries {
  readonly list: ZtocEntry[] = []
  readonly #isFolder = new Map<string, boolean>()
  #words = 0

  /** Throws AmbiguousTarError for what the snapshotter would refuse, or show as something else. */
  add(entry: TarEntry, offset: number): void {
    this.#check(entry)
    const ztocEntry = describe(entry, offset)
    this.#words += wordsOf(ztocEntry)
    if (this.list.length >= MAX_ENTRIES || this.#words > MAX_WORDS) {
      throw new AmbiguousTarError(
        `the layer has more than ${MAX_ENTRIES} entries, or ${MAX_WORDS} bytes of names and attributes`,
      )
    }
    this.list.push(ztocEntry)
  }

  #check(entry: TarEntry): void {
    const shown = JSON.stringify(entry.name.slice(0, 200))
    if (entry.type === 'global')
      throw new AmbiguousTarError('a global header stands among the files')
    const name = cleanName(entry.bytes.name)
    const isFolder = entry.type === 'dir'
    if (name === '' && !isFolder) throw new AmbiguousTarError(`${shown} is no name for a file`)
    if (Math.min(entry.mode, entry.uid, entry.gid, entry.devMajor, entry.devMinor) < 0) {
      throw new AmbiguousTarError(`${shown} has a negative mode, owner or device number`)
    }
    if (Math.max(entry.uid, entry.gid) > MAX_ID) {
      throw new AmbiguousTarError(`${shown} has an owner beyond 2^32`)
    }
    if (entry.type === 'hardlink') this.#checkTarget(entry, shown)
    if (isFolder && this.#isFolder.get(name) === false) {
      throw new AmbiguousTarError(`${shown} is a folder in the place of a file`)
    }
    this.#checkParents(name, shown)
    this.#isFolder.set(name, isFolder)
  }

  #checkTarget(entry: TarEntry, shown: string): void {
    if (this.#isFolder.get(cleanName(entry.bytes.linkName)) === false) return
    throw new AmbiguousTarError(`${shown} is a hard link to what the layer does not hold before it`)
  }

  /** Folders that have no entry of their own are made on the way. */
  #checkParents(name: string, shown: string): void {
    for (let end = name.lastIndexOf('/'); end > 0; end = name.lastIndexOf('/', end - 1)) {
      const parent = name.slice(0, end)
      const isFolder = this.#isFolder.get(parent)
      if (isFolder === true) return
      if (isFolder === false) throw new AmbiguousTarError(`${shown} is in what is no folder`)
      this.#isFolder.set(parent, true)
    }
  }
}

function describe(entry: TarEntry, offset: number): ZtocEntry {
  const modTime = rfc3339(entry.mtime)
  if (modTime === undefined) {
    throw new AmbiguousTarError(
      `${JSON.stringify(entry.name.slice(0, 200))} has a time outside the years 0 to 9999`,
    )
  }
  const { type, size, mode, uid, gid, devMajor, devMinor, pax = NO_RECORDS } = entry
  return { ...entry.bytes, type, offset, size, mode, uid, gid, modTime, devMajor, devMinor, pax }
}

function wordsOf({ name, linkName, pax }: ZtocEntry): number {
  let size = name.length + linkName.length
  for (const [key, value] of pax) size += key.length + value.length
  return size
}
