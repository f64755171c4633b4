/**
 * Where everything lies in the metadata area of an EROFS: inodes with what belongs to them, and the blocks of large folders and
 * symlinks. Placed in the order in which it is written, so that nothing has to be held until the end: a folder, then what lies in it,
 * then its folders one by one.
 */
import { Turns } from '../lib/turns.ts'
import { directorySize, withDots } from './directory.ts'
import { INODE_SIZE, INODE_UNIT, type Layout } from './inode.ts'
import { type ByteText, type Folder, type Leaf, type Node, sortedNames } from './tree.ts'
import { xattrsSize } from './xattrs.ts'

/** Bytes of the place of one chunk, behind the inode of a file. */
export const CHUNK_INDEX_SIZE = 8

export interface Placed<C> {
  readonly node: Node<C>
  /** Bytes from the start of the area. */
  readonly at: number
  readonly layout: Layout
  readonly xattrsSize: number
  /** Bytes that the inode states: of data, which for files of chunks lie elsewhere. */
  readonly size: number
  /** Bytes from the start of the area to the first full block of data, 0 when there is none. */
  readonly blocksAt: number
  /** 1 and up, in the order of placing. */
  readonly ino: number
  links: number
}

export interface PlacedFolder<C> extends Placed<C> {
  readonly node: Folder<C>
  readonly parent: PlacedFolder<C> | undefined
  /** In bytewise order, without dots. */
  readonly names: readonly ByteText[]
}

export interface Placement<C> {
  readonly root: PlacedFolder<C>
  /** In order. */
  readonly placed: readonly Placed<C>[]
  readonly byNode: ReadonlyMap<Node<C>, Placed<C>>
  /** Bytes of the area, a multiple of the block size. */
  readonly size: number
  readonly blockSize: number
}

export interface PlacementRules<C> {
  readonly blockSize: number
  /** How many chunks a file has. */
  chunksOf(content: C): number
}

export function isPlacedFolder<C>(placed: Placed<C>): placed is PlacedFolder<C> {
  return placed.node.kind === 'dir'
}

/** What is placed in one turn of the event loop. */
const NAMES_A_TURN = 1024

/** Hard links of one file are the same node under several names. */
export async function placeTree<C>(
  root: Folder<C>,
  rules: PlacementRules<C>,
): Promise<Placement<C>> {
  const placer = new Placer(rules)
  const turns = new Turns(NAMES_A_TURN)
  const placedRoot = await placer.placeFolder(root, undefined)
  // The next folder is the last of the list.
  const open = [placedRoot]
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    const later: Folder<C>[] = []
    for (const name of folder.names) {
      const child = folder.node.children.get(name)
      if (child?.kind === 'dir') later.push(child)
      else if (child !== undefined) placer.placeLeaf(child)
      await turns.spend()
    }
    folder.links += later.length
    const folders: PlacedFolder<C>[] = []
    for (const child of later) {
      folders.push(await placer.placeFolder(child, folder))
      await turns.spend()
    }
    for (let last = folders.pop(); last !== undefined; last = folders.pop()) open.push(last)
  }
  return placer.finish(placedRoot)
}

class Placer<C> {
  readonly #rules: PlacementRules<C>
  readonly #placed: Placed<C>[] = []
  readonly #byNode = new Map<Node<C>, Placed<C>>()
  /** The first block stays empty: inode number 0 would vanish from listings. */
  #cursor: number

  constructor(rules: PlacementRules<C>) {
    this.#rules = rules
    this.#cursor = rules.blockSize
  }

  async placeFolder(
    node: Folder<C>,
    parent: PlacedFolder<C> | undefined,
  ): Promise<PlacedFolder<C>> {
    const names = await sortedNames(node)
    const place = this.#placeData(node, directorySize(withDots(names), this.#rules.blockSize))
    const folder: PlacedFolder<C> = { ...place, node, parent, names, links: 2 }
    this.#add(folder)
    return folder
  }

  placeLeaf(node: Leaf<C>): void {
    const known = this.#byNode.get(node)
    if (known === undefined) this.#add({ ...this.#placeOf(node), node, links: 1 })
    else known.links += 1
  }

  finish(root: PlacedFolder<C>): Placement<C> {
    const { blockSize } = this.#rules
    this.#align(blockSize)
    return { root, placed: this.#placed, byNode: this.#byNode, size: this.#cursor, blockSize }
  }

  #placeOf(node: Leaf<C>) {
    if (node.kind === 'symlink') return this.#placeData(node, node.target.length)
    const attributes = xattrsSize(node.attributes.xattrs)
    const ino = this.#placed.length + 1
    const shared = { xattrsSize: attributes, blocksAt: 0, ino }
    if (node.kind !== 'reg') {
      return {
        ...shared,
        at: this.#take(INODE_SIZE + attributes),
        layout: 'plain',
        size: 0,
      } as const
    }
    const indexes = CHUNK_INDEX_SIZE * this.#rules.chunksOf(node.content)
    const at = this.#take(indexesAt(attributes) + indexes)
    return { ...shared, at, layout: 'chunked', size: node.size } as const
  }

  /** What has its data in this area: beside the inode when its end fits there in one block, else in blocks of their own. */
  #placeData(node: Node<C>, size: number) {
    const { blockSize } = this.#rules
    const attributes = xattrsSize(node.attributes.xattrs)
    const head = INODE_SIZE + attributes
    const tail = size % blockSize
    const shared = { xattrsSize: attributes, size, ino: this.#placed.length + 1 }
    if (tail > 0 && head + tail <= blockSize) {
      const left = blockSize - (this.#cursor % blockSize)
      if (head + tail > left) this.#align(blockSize)
      const at = this.#take(head + tail)
      return { ...shared, at, layout: 'inline', blocksAt: this.#takeBlocks(size - tail) } as const
    }
    const at = this.#take(head)
    return { ...shared, at, layout: 'plain', blocksAt: this.#takeBlocks(size) } as const
  }

  #add(placed: Placed<C>): void {
    this.#placed.push(placed)
    this.#byNode.set(placed.node, placed)
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
