/** The blocks of one entry, from its extended headers to its own, and what they say together. */
import { join } from '../lib/streams.ts'
import { BLOCK_SIZE, type Block } from './block.ts'
import { AmbiguousTarError, type EntryType, type TarEntry } from './entry.ts'
import { type PaxRecords, parsePax, parsePaxNumber, parsePaxTime } from './pax.ts'
import { decodeText, type Text } from './text.ts'

/** Go refuses longer extended headers, and nobody writes them. */
const MAX_META_SIZE = 1024 * 1024

/** Linux's PATH_MAX: longer names cannot be unpacked. */
const MAX_NAME = 4096

/** A size field that is full to the brim says "too large for this field, see the extended header". */
const SATURATED = 0o77777777777

const TYPES: Readonly<Record<string, EntryType>> = {
  '\0': 'reg',
  '0': 'reg',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'dir',
  '6': 'fifo',
}

const XATTR = 'SCHILY.xattr.'

export class HeaderParts {
  #raw: Uint8Array[] = []
  #block: Block | undefined
  #pax: PaxRecords | undefined
  #longName: Text | undefined
  #longLink: Text | undefined
  #isComplete = false
  #global: PaxRecords | undefined

  get isEmpty(): boolean {
    return this.#raw.length === 0
  }

  /** Returns how many bytes of body follow that belong to the header: those of an extended one, padding included. */
  addBlock(raw: Uint8Array, block: Block): number {
    this.#raw.push(raw)
    this.#block = block
    if (!'xgLK'.includes(block.type)) {
      this.#isComplete = true
      return 0
    }
    // Readers disagree whether a size that was announced applies to the next extended header.
    if (this.#pax?.has('size')) {
      throw new AmbiguousTarError('an extended header with a size is not the last one of its entry')
    }
    if (block.type === 'g' && this.#raw.length > 1) {
      throw new AmbiguousTarError('a global header stands between an extended one and its entry')
    }
    if (block.size < 0 || block.size > MAX_META_SIZE) {
      throw new AmbiguousTarError(`an extended header claims ${block.size} bytes`)
    }
    if (block.size === 0) this.#addRecords(Buffer.alloc(0))
    return Math.ceil(block.size / BLOCK_SIZE) * BLOCK_SIZE
  }

  addBody(bytes: Uint8Array): void {
    this.#raw.push(bytes)
    const size = this.#block?.size ?? 0
    this.#addRecords(Buffer.from(bytes.buffer, bytes.byteOffset, size))
  }

  /** Copies what it holds of the tar: its memory is going to change. */
  keep(): void {
    this.#raw = this.#raw.map((bytes) => new Uint8Array(bytes))
  }

  /** The entry, when all its headers are there; then the next one may begin. */
  take(): { readonly entry: TarEntry; readonly raw: Uint8Array } | undefined {
    const block = this.#block
    if (!this.#isComplete || block === undefined) return undefined
    const entry = this.#global ? globalEntry(block, this.#global) : this.#entry(block)
    const raw = join(this.#raw)
    this.#raw = []
    this.#block = this.#pax = this.#longName = this.#longLink = this.#global = undefined
    this.#isComplete = false
    return { entry, raw }
  }

  #addRecords(body: Buffer): void {
    const type = this.#block?.type
    if (type === 'L') this.#longName = longText(body)
    else if (type === 'K') this.#longLink = longText(body)
    else if (type === 'x') this.#pax = parsePax(body)
    else {
      this.#global = parsePax(body)
      this.#isComplete = true
    }
  }

  #entry(block: Block): TarEntry {
    const pax = this.#pax ?? NO_RECORDS
    const name = oneText('name', block.name, paxText(pax, 'path'), this.#longName)
    const link = oneText('link', block.linkName, paxText(pax, 'linkpath'), this.#longLink)
    const user = paxText(pax, 'uname') ?? block.userName
    const group = paxText(pax, 'gname') ?? block.groupName
    const type = typeOf(block, name.value)
    const xattrs = xattrsOf(pax)
    return {
      type,
      name: name.value,
      linkName: link.value,
      bytes: {
        name: name.latin1,
        linkName: link.latin1,
        userName: user.latin1,
        groupName: group.latin1,
      },
      mode: block.mode,
      uid: paxNumber(pax, 'uid') ?? block.uid,
      gid: paxNumber(pax, 'gid') ?? block.gid,
      userName: user.value,
      groupName: group.value,
      size: sizeOf(type, block, pax),
      mtime: paxTime(pax, 'mtime') ?? block.mtime,
      atime: paxTime(pax, 'atime') ?? block.atime,
      ctime: paxTime(pax, 'ctime') ?? block.ctime,
      devMajor: block.devMajor,
      devMinor: block.devMinor,
      xattrs: xattrs.values,
      paxKeys: [...pax.keys()],
      pax: this.#pax,
      isText: name.isUtf8 && link.isUtf8 && xattrs.isText,
      hasTextOwner: user.isUtf8 && group.isUtf8,
    }
  }
}

const NO_RECORDS: PaxRecords = new Map()
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map()

function globalEntry(block: Block, records: PaxRecords): TarEntry {
  return {
    ...block,
    type: 'global',
    name: block.name.value,
    linkName: '',
    bytes: { name: block.name.latin1, linkName: '', userName: '', groupName: '' },
    userName: '',
    groupName: '',
    size: 0,
    xattrs: NO_XATTRS,
    paxKeys: [...records.keys()],
    isText: true,
    hasTextOwner: true,
  }
}

function typeOf(block: Block, name: string): EntryType {
  const type = TYPES[block.type]
  if (type === undefined) {
    throw new AmbiguousTarError(
      `${quote(name)} is of type ${quote(block.type)}, which runtimes do not know`,
    )
  }
  if (type !== 'reg' || !name.endsWith('/')) return type
  if (block.type === '\0') return 'dir'
  throw new AmbiguousTarError(`${quote(name)} is a file with the name of a folder`)
}

/** Links, folders and devices have no content, whatever their size says; readers that believe it miss the next entry. */
function sizeOf(type: EntryType, block: Block, pax: PaxRecords): number {
  const size = paxNumber(pax, 'size') ?? block.size
  const isOverridden = block.size !== 0 && block.size !== SATURATED && size !== block.size
  if (size < 0 || isOverridden || (type !== 'reg' && size !== 0)) {
    throw new AmbiguousTarError(`${quote(block.name.value)} has a size that readers disagree about`)
  }
  return size
}

function longText(body: Buffer): Text | undefined {
  const text = body.toString('latin1')
  const end = text.indexOf('\0')
  return end === 0 || text === '' ? undefined : decodeText(end < 0 ? text : text.slice(0, end))
}

/** GNU's long form wins in Go, PAX elsewhere; so both must agree. */
function oneText(what: string, short: Text, pax: Text | undefined, gnu: Text | undefined): Text {
  if (pax !== undefined && gnu !== undefined && pax.value !== gnu.value) {
    throw new AmbiguousTarError(
      `an entry has two ${what}s, ${quote(pax.value)} and ${quote(gnu.value)}`,
    )
  }
  const text = gnu ?? pax ?? short
  if (text.value.length <= MAX_NAME) return text
  throw new AmbiguousTarError(`an entry has a ${what} of more than ${MAX_NAME} characters`)
}

/** An empty value means "as without this record". */
function paxValue(pax: PaxRecords, key: string): string | undefined {
  return pax.get(key) || undefined
}

function paxText(pax: PaxRecords, key: string): Text | undefined {
  const value = paxValue(pax, key)
  return value === undefined ? undefined : decodeText(value)
}

function paxNumber(pax: PaxRecords, key: string): number | undefined {
  const value = paxValue(pax, key)
  return value === undefined ? undefined : parsePaxNumber(value)
}

function paxTime(pax: PaxRecords, key: string) {
  const value = paxValue(pax, key)
  return value === undefined ? undefined : parsePaxTime(value)
}

function xattrsOf(pax: PaxRecords): { values: ReadonlyMap<string, Uint8Array>; isText: boolean } {
  let values: Map<string, Uint8Array> | undefined
  let isText = true
  for (const [key, value] of pax) {
    if (key.startsWith('GNU.sparse.')) {
      throw new AmbiguousTarError('a sparse file, which runtimes do not unpack alike')
    }
    if (!key.startsWith(XATTR)) continue
    const name = decodeText(key.slice(XATTR.length))
    isText &&= name.isUtf8
    values ??= new Map()
    values.set(name.value, Buffer.from(value, 'latin1'))
  }
  return { values: values ?? NO_XATTRS, isText }
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
