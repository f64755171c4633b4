/**
 * Where everything lies in the metadata area of an EROFS: inodes with what belongs to them, and the blocks of large folders and
 * symlinks. Placed in the order in which it is written, so that nothing has to be held until the end: a folder, then what lies in it,
 * then its folders one by one.
 */
import { NumberList } from '../lib/number-list.ts'
import { Turns } from '../lib/turns.ts'
import { directorySize, withDots } from './directory.ts'
import { INODE_SIZE, INODE_UNIT, type Layout } from './inode.ts'
import type { ByteText } from './attributes.ts'
import type { Leaf, LeafNumber, Leaves, Symlink } from './leaves.ts'
import { type Child, type Folder, type NodeKind, sortedNames, type Tree } from './tree.ts'
import { xattrsSize } from './xattrs.ts'

/** Bytes of the place of one chunk, behind the inode of a file. */
export const CHUNK_INDEX_SIZE = 8

/** Where an inode lies. */
interface Place {
  /** Bytes from the start of the area. */
  readonly at: number
  readonly layout: Layout
  readonly xattrsSize: number
  /** Bytes that the inode states: of data, which for files of chunks lie elsewhere. */
  readonly size: number
  /** Bytes from the start of the area to the first full block of data, 0 when there is none. */
  readonly blocksAt: number
}

interface Numbered extends Place {
  /** 1 and up, in the order of placing. */
  readonly ino: number
  readonly links: number
}

export interface PlacedLeaf extends Numbered {
  readonly node: Leaf
}

export interface PlacedFolder extends Numbered {
  readonly node: Folder
  readonly parent: PlacedFolder | undefined
  /** In bytewise order, without dots. */
  readonly names: readonly ByteText[]
}

export type Placed = PlacedLeaf | PlacedFolder

export interface Placement {
  readonly root: PlacedFolder
  /** Everything, in order. */
  placed(): Iterable<Placed>
  /** Where the inode of a child lies, and what it is. */
  find(child: Child): { readonly at: number; readonly kind: NodeKind }
  /** Bytes of the area, a multiple of the block size. */
  readonly size: number
  readonly blockSize: number
}

export interface PlacementRules {
  readonly blockSize: number
  /** How many chunks the content of a file has. */
  chunksOf(content: number): number
}

export function isPlacedFolder(placed: Placed): placed is PlacedFolder {
  return placed.node.kind === 'dir'
}

/** What is placed in one turn of the event loop. */
const NAMES_A_TURN = 1024

export async function placeTree(tree: Tree, rules: PlacementRules): Promise<Placement> {
  const placer = new Placer(tree.leaves, rules)
  const turns = new Turns(NAMES_A_TURN)
  const root = await placer.placeFolder(tree.root, undefined)
  // The next folder is the last of the list.
  const open = [root]
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const later: Folder[] = []
    for (const name of folder.names) {
      const child = folder.node.children.get(name)
      if (typeof child === 'object') later.push(child)
      else if (child !== undefined) placer.placeLeaf(child)
      await turns.spend()
    }
    folder.links += later.length
    const folders: OpenFolder[] = []
    for (const child of later) {
      folders.push(await placer.placeFolder(child, folder))
      await turns.spend()
    }
    for (let last = folders.pop(); last !== undefined; last = folders.pop()) open.push(last)
  }
  return placer.finish(root)
}

/** While its folders are still counted. */
interface OpenFolder extends PlacedFolder {
  links: number
}

class Placer {
  readonly #leaves: Leaves
  readonly #rules: PlacementRules
  /** What has been placed, in order: numbers of leaves, and of folders negative and less 1. */
  readonly #order = NumberList.integers()
  readonly #folders: PlacedFolder[] = []
  readonly #byFolder = new Map<Folder, PlacedFolder>()
  /** Of leaves: 0 for what is not placed, or has no blocks. */
  readonly #places: Float64Array
  readonly #links: Uint32Array
  readonly #blocks = new Map<LeafNumber, number>()
  /** The first block stays empty: inode number 0 would vanish from listings. */
  #cursor: number

  constructor(leaves: Leaves, rules: PlacementRules) {
    this.#leaves = leaves
    this.#rules = rules
    this.#places = new Float64Array(leaves.count)
    this.#links = new Uint32Array(leaves.count)
    this.#cursor = rules.blockSize
  }

  async placeFolder(node: Folder, parent: PlacedFolder | undefined): Promise<OpenFolder> {
    const names = await sortedNames(node)
    const form = this.#formOf(node, directorySize(withDots(names), this.#rules.blockSize))
    const place = { ...form, ...this.#placeData(form) }
    const folder = { ...place, node, parent, names, links: 2, ino: this.#order.length + 1 }
    this.#order.push(-this.#folders.push(folder))
    this.#byFolder.set(node, folder)
    return folder
  }

  /** One more name of it, if it has a place already. */
  placeLeaf(leaf: LeafNumber): void {
    const known = this.#links[leaf] ?? 0
    this.#links[leaf] = known + 1
    if (known > 0) return
    this.#order.push(leaf)
    const node = this.#leaves.get(leaf)
    if (node.kind === 'symlink') {
      const { at, blocksAt } = this.#placeData(this.#formOf(node, node.target.length))
      this.#places[leaf] = at
      if (blocksAt > 0) this.#blocks.set(leaf, blocksAt)
    } else this.#places[leaf] = this.#take(this.#sizeOf(node))
  }

  finish(root: PlacedFolder): Placement {
    const { blockSize } = this.#rules
    this.#align(blockSize)
    return {
      ...{ root, size: this.#cursor, blockSize },
      placed: () => this.#all(),
      find: (child) => this.#find(child),
    }
  }

  *#all(): Generator<Placed> {
    for (let i = 0; i < this.#order.length; i += 1) {
      const number = this.#order.at(i)
      const folder = this.#folders[-1 - number]
      yield folder ?? this.#placedLeaf(number, i + 1)
    }
  }

  #placedLeaf(leaf: LeafNumber, ino: number): PlacedLeaf {
    const node = this.#leaves.get(leaf)
    const [at = 0, links = 0] = [this.#places[leaf], this.#links[leaf]]
    const shared = { node, at, links, ino }
    if (node.kind === 'symlink') {
      const blocksAt = this.#blocks.get(leaf) ?? 0
      return { ...shared, ...this.#formOf(node, node.target.length), blocksAt }
    }
    const place = { ...shared, xattrsSize: xattrsSize(node.attributes.xattrs), blocksAt: 0 }
    return node.kind === 'reg'
      ? { ...place, layout: 'chunked', size: node.size }
      : { ...place, layout: 'plain', size: 0 }
  }

  #find(child: Child) {
    if (typeof child === 'number') {
      return { at: this.#places[child] ?? 0, kind: this.#leaves.kindOf(child) }
    }
    const folder = this.#byFolder.get(child)
    if (folder === undefined) throw new Error('a tree was changed after it was placed')
    return { at: folder.at, kind: child.kind }
  }

  /** Bytes of an inode, and of the places of chunks with it. */
  #sizeOf({ attributes, ...node }: Exclude<Leaf, Symlink>): number {
    const xattrs = xattrsSize(attributes.xattrs)
    if (node.kind !== 'reg') return INODE_SIZE + xattrs
    return indexesAt(xattrs) + CHUNK_INDEX_SIZE * this.#rules.chunksOf(node.content)
  }

  /** How what has its data in this area lies there: beside the inode when its end fits there in one block, else in blocks of their own. */
  #formOf(node: Folder | Symlink, size: number) {
    const attributes = xattrsSize(node.attributes.xattrs)
    const tail = size % this.#rules.blockSize
    const isInline = tail > 0 && INODE_SIZE + attributes + tail <= this.#rules.blockSize
    return { xattrsSize: attributes, size, layout: isInline ? 'inline' : 'plain' } as const
  }

  #placeData({
    xattrsSize: attributes,
    size,
    layout,
  }: Pick<Place, 'xattrsSize' | 'size' | 'layout'>) {
    const { blockSize } = this.#rules
    const head = INODE_SIZE + attributes
    if (layout === 'plain') {
      const at = this.#take(head)
      return { at, blocksAt: this.#takeBlocks(size) }
    }
    const tail = size % blockSize
    const left = blockSize - (this.#cursor % blockSize)
    if (head + tail > left) this.#align(blockSize)
    const at = this.#take(head + tail)
    return { at, blocksAt: this.#takeBlocks(size - tail) }
  }

  #take(size: number): number {
    const at = this.#cursor
    this.#cursor += size
    this.#align(INODE_UNIT)
    return at
  }

  /** Whole blocks for data; 0 where there are none. */
  #takeBlocks(size: number): number {
    if (size === 0) return 0
    this.#align(this.#rules.blockSize)
    const at = this.#cursor
    this.#cursor += size
    this.#align(this.#rules.blockSize)
    return at
  }

  #align(unit: number): void {
    this.#cursor = Math.ceil(this.#cursor / unit) * unit
  }
}

/** Where the places of chunks begin, from the start of the inode. */
export function indexesAt(attributesSize: number): number {
  return Math.ceil((INODE_SIZE + attributesSize) / CHUNK_INDEX_SIZE) * CHUNK_INDEX_SIZE
}
