/**
 * The tree of one layer, as a container runtime would unpack it alone: whiteouts are still files of their names. Later entries replace
 * earlier ones, folders keep what is in them, and a path may lead through symlinks of the same layer (containerd archive/tar.go).
 */
import { Turns } from '../../lib/turns.ts'
import { describeInodeProblem } from '../../erofs/inode.ts'
import type { Attributes, ByteText } from '../../erofs/attributes.ts'
import { type Leaf, Leaves } from '../../erofs/leaves.ts'
import type { Child, Folder, Tree } from '../../erofs/tree.ts'
import { describeXattrProblem, hasKnownPrefix } from '../../erofs/xattrs.ts'
import { AmbiguousTarError, checkGlobalHeader, cleanName, type TarEntry } from '../../tar/entry.ts'
import { LayerRefusedError } from '../format.ts'
import { isReserved } from '../toc.ts'
import { Contents } from './contents.ts'
import { LowerLinks } from './lower-links.ts'
import { IMPLIED, shown } from './names.ts'
import { SharedAttributes } from './shared-attributes.ts'
import { findChild, makeParent } from './paths.ts'

/** Hard links that are looked up in one turn of the event loop. */
const LINKS_PER_TURN = 2_000

export interface LayerTree extends Tree {
  /** Of regular files. */
  readonly contents: Contents
  /** Folders without an entry of their own: a lower layer says what they are like. */
  readonly implied: ReadonlySet<Folder>
  /** Hard links to files of lower layers: path to target. */
  readonly lowerLinks: ReadonlyMap<ByteText, ByteText>
  /** Names of extended attributes that RAFS cannot hold, and of how many files they were dropped. */
  readonly dropped: ReadonlyMap<ByteText, number>
}

/** More are refused: nobody has them, and all of them are held in memory. */
const MAX_ENTRIES = 2_000_000
/** Bytes of names, links and attributes. */
const MAX_WORDS = 256 * 1024 * 1024
/** The only blob that a layer has. */
const OWN_BLOB = 0
/** Linux's PATH_MAX, its end included. */
const MAX_TARGET = 4095

export class LayerTreeBuilder {
  readonly #root: Folder = { kind: 'dir', attributes: IMPLIED, children: new Map() }
  readonly #tree = { root: this.#root, leaves: new Leaves(), contents: new Contents() }
  readonly #implied = new Set([this.#root])
  readonly #links = new LowerLinks()
  readonly #dropped = new Map<ByteText, number>()
  readonly #shared = new SharedAttributes()
  #entries = 0
  #words = 0

  /**
   * True for a regular file, whose chunks are then to be added. Throws AmbiguousTarError or LayerRefusedError for what readers do not
   * agree about or RAFS cannot hold.
   */
  add(entry: TarEntry): boolean {
    if (entry.type === 'global') {
      checkGlobalHeader(entry)
      return false
    }
    this.#count(entry)
    const path = cleanName(entry.bytes.name)
    if (isReserved(path)) return false
    if (path === '') {
      this.#describeRoot(entry)
      return false
    }
    const { folder, name, resolved } = makeParent(this.#tree, path, (made) =>
      this.#implied.add(made),
    )
    if (entry.type === 'dir') this.#addFolder(folder, name, this.#attributesOf(entry), resolved)
    else if (entry.type === 'hardlink') this.#addLink(folder, name, entry, resolved)
    else this.#put(folder, name, this.#tree.leaves.add(this.#leafOf(entry)), resolved)
    return entry.type === 'reg'
  }

  /** Of the file that was added last. */
  addChunk(chunk: number): void {
    this.#tree.contents.push(chunk)
  }

  /** Throws AmbiguousTarError when a hard link comes before its target. */
  async finish(): Promise<LayerTree> {
    const turns = new Turns(LINKS_PER_TURN)
    for (const [path, target] of this.#links.all) {
      await turns.spend()
      if (findChild(this.#tree, target) === undefined) continue
      throw new AmbiguousTarError(`${shown(path)} is a hard link to what comes later`)
    }
    return {
      ...this.#tree,
      implied: this.#implied,
      lowerLinks: this.#links.all,
      dropped: this.#dropped,
    }
  }

  #count(entry: TarEntry): void {
    this.#entries += 1
    this.#words += entry.bytes.name.length + entry.bytes.linkName.length
    for (const [name, value] of entry.xattrs) this.#words += name.length + value.byteLength
    if (this.#entries <= MAX_ENTRIES && this.#words <= MAX_WORDS) return
    throw new LayerRefusedError(
      `the layer has more than ${MAX_ENTRIES} entries or ${MAX_WORDS} bytes of names, links and xattrs`,
    )
  }

  #describeRoot(entry: TarEntry): void {
    if (entry.type !== 'dir')
      throw new AmbiguousTarError(`${shown(entry.bytes.name)} is no name for a file`)
    this.#root.attributes = this.#attributesOf(entry)
    this.#implied.delete(this.#root)
  }

  #addFolder(folder: Folder, name: ByteText, attributes: Attributes, path: ByteText): void {
    const known = folder.children.get(name)
    if (typeof known === 'object') {
      known.attributes = attributes
      this.#implied.delete(known)
    } else this.#put(folder, name, { kind: 'dir', attributes, children: new Map() }, path)
  }

  #addLink(folder: Folder, name: ByteText, entry: TarEntry, path: ByteText): void {
    const target = cleanName(entry.bytes.linkName)
    const found = findChild(this.#tree, target)
    if (typeof found === 'object' || target === '') {
      throw new AmbiguousTarError(`${shown(path)} is a hard link to a folder`)
    }
    if (found !== undefined) {
      this.#put(folder, name, found, path)
      return
    }
    this.#put(folder, name, undefined, path)
    this.#links.add(path, target)
  }

  /** Nothing instead of a child: what was there is gone. */
  #put(folder: Folder, name: ByteText, child: Child | undefined, path: ByteText): void {
    this.#links.forget(path)
    if (child === undefined) folder.children.delete(name)
    else folder.children.set(name, child)
  }

  #leafOf(entry: TarEntry): Leaf {
    const attributes = this.#attributesOf(entry)
    switch (entry.type) {
      case 'symlink':
        return { kind: 'symlink', attributes, target: targetOf(entry) }
      case 'char':
      case 'block':
        return checked(
          { kind: entry.type, attributes, major: entry.devMajor, minor: entry.devMinor },
          entry,
        )
      case 'fifo':
        return { kind: 'fifo', attributes }
      default:
        return {
          kind: 'reg',
          attributes,
          size: entry.size,
          content: this.#tree.contents.open(OWN_BLOB),
        }
    }
  }

  #attributesOf(entry: TarEntry): Attributes {
    const { uid, gid, mtime } = entry
    const attributes = { mode: entry.mode & 0o7777, uid, gid, mtime, xattrs: this.#xattrsOf(entry) }
    return this.#shared.of(checked({ kind: 'fifo', attributes } as const, entry).attributes)
  }

  #xattrsOf(entry: TarEntry): Attributes['xattrs'] {
    if (entry.xattrs.size === 0) return IMPLIED.xattrs
    const kept = new Map<ByteText, Uint8Array>()
    for (const [text, value] of entry.xattrs) {
      const name = Buffer.from(text).toString('latin1')
      if (hasKnownPrefix(name)) kept.set(name, value)
      else this.#dropped.set(name, (this.#dropped.get(name) ?? 0) + 1)
    }
    const problem = describeXattrProblem(kept)
    if (problem !== undefined) throw refused(entry, problem)
    return kept
  }
}

function targetOf(entry: TarEntry): ByteText {
  const target = entry.bytes.linkName
  if (target.length > 0 && target.length <= MAX_TARGET) return target
  throw refused(entry, `a symlink of ${target.length} bytes`)
}

function checked<L extends Leaf>(node: L, entry: TarEntry): L {
  const problem = describeInodeProblem(node)
  if (problem !== undefined) throw refused(entry, problem)
  return node
}

function refused(entry: TarEntry, problem: string): LayerRefusedError {
  return new LayerRefusedError(`${shown(entry.bytes.name)} has ${problem}`)
}
