/**
 * The layers of an image put on top of one another (image-spec "layer.md#whiteouts"): whiteouts hide what is below them and never what
 * comes with them, folders join, anything else replaces.
 */
import type { Attributes, ByteText } from '../../erofs/attributes.ts'
import { Leaves } from '../../erofs/leaves.ts'
import type { Folder, Tree } from '../../erofs/tree.ts'
import { Turns } from '../../lib/turns.ts'
import { LayerRefusedError } from '../format.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import { Contents } from './contents.ts'
import type { LayerTree } from './layer-tree.ts'
import { hiddenName, IMPLIED, isWhiteout, OPAQUE, shown } from './names.ts'
import { findChild, findParent, splitPath } from './paths.ts'

/** The tree of an image, and where the data of its files are. */
export class ImageTree implements Tree {
  readonly root: Folder = { kind: 'dir', attributes: IMPLIED, children: new Map() }
  /** Of all layers, those that are hidden included. */
  readonly leaves = new Leaves()
  readonly contents = new Contents()
  /** What contents name: one for each id. */
  readonly blobs: BlobEntry[] = []

  /** The place of a blob in the list, which equal layers share. */
  placeOf(blob: BlobEntry): number {
    const known = this.blobs.findIndex(({ id }) => id === blob.id)
    return known < 0 ? this.blobs.push(blob) - 1 : known
  }

  /** Puts a layer on top, whose leaves are here already. Throws LayerRefusedError for a hard link to nothing. */
  async put(layer: LayerTree): Promise<void> {
    const turns = new Turns(NAMES_A_TURN)
    await new Merge(layer).folder(this.root, layer.root)
    for (const [path, target] of layer.lowerLinks) {
      link(this, path, target)
      await turns.spend(LINK_WORK)
    }
  }
}

/** What is merged in one turn of the event loop. */
const NAMES_A_TURN = 2048
/** Two ways through the tree, in names. */
const LINK_WORK = 8

class Merge {
  readonly #layer: LayerTree
  readonly #turns = new Turns(NAMES_A_TURN)

  constructor(layer: LayerTree) {
    this.#layer = layer
  }

  async folder(lower: Folder, upper: Folder): Promise<void> {
    if (!this.#layer.implied.has(upper)) lower.attributes = upper.attributes
    if (upper.children.has(OPAQUE)) lower.children.clear()
    for (const name of upper.children.keys()) {
      if (isWhiteout(name)) lower.children.delete(hiddenName(name))
      await this.#turns.spend()
    }
    for (const [name, child] of upper.children) {
      await this.#turns.spend()
      if (isWhiteout(name)) continue
      if (typeof child === 'number') lower.children.set(name, child)
      else await this.folder(folderIn(lower, name, child.attributes), child)
    }
  }
}

/** The folder of a name, in place of what is no folder. */
function folderIn(lower: Folder, name: ByteText, attributes: Attributes): Folder {
  const below = lower.children.get(name)
  if (typeof below === 'object') return below
  const made: Folder = { kind: 'dir', attributes, children: new Map() }
  lower.children.set(name, made)
  return made
}

/** One more name for a file of a lower layer. */
function link(tree: Tree, path: ByteText, target: ByteText): void {
  const file = findChild(tree, target)
  if (typeof file !== 'number') {
    throw new LayerRefusedError(`${shown(path)} is a hard link to what no layer below it holds`)
  }
  findParent(tree, path)?.children.set(splitPath(path).name, file)
}
