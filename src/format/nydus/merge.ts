/**
 * The layers of an image put on top of one another (image-spec "layer.md#whiteouts"): whiteouts hide what is below them and never what
 * comes with them, folders join, anything else replaces.
 */
import type { Attributes, ByteText, Folder, Node } from '../../erofs/tree.ts'
import { LayerRefusedError } from '../format.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import type { ContentRules } from './bootstrap.ts'
import type { Chunks, LayerTree } from './layer-tree.ts'
import { hiddenName, IMPLIED, isWhiteout, OPAQUE, shown } from './names.ts'
import { findParent, splitPath } from './paths.ts'

export interface Layer {
  readonly tree: LayerTree
  /** None for a layer whose files have no bytes. */
  readonly blob: BlobEntry | undefined
}

/** Chunks of one layer's blob. */
export interface BlobChunks {
  readonly blob: BlobEntry | undefined
  readonly chunks: Chunks
}

export const BLOB_CHUNKS: ContentRules<BlobChunks> = {
  blobOf({ blob }) {
    if (blob === undefined) throw new LayerRefusedError('a layer has chunks, but its blob has none')
    return blob
  },
  chunksOf: ({ chunks }) => chunks,
}

/** Lowest layer first. Throws LayerRefusedError for a hard link to nothing. */
export function mergeLayers(layers: readonly Layer[]): Folder<BlobChunks> {
  const root: Folder<BlobChunks> = { kind: 'dir', attributes: IMPLIED, children: new Map() }
  for (const layer of layers) {
    new Merge(layer).folder(root, layer.tree.root)
    for (const [path, target] of layer.tree.lowerLinks) link(root, path, target)
  }
  return root
}

class Merge {
  readonly #layer: Layer
  /** Files that have several names must stay one. */
  readonly #leaves = new Map<Node<Chunks>, Node<BlobChunks>>()

  constructor(layer: Layer) {
    this.#layer = layer
  }

  folder(lower: Folder<BlobChunks>, upper: Folder<Chunks>): void {
    if (!this.#layer.tree.implied.has(upper)) lower.attributes = upper.attributes
    if (upper.children.has(OPAQUE)) lower.children.clear()
    for (const name of upper.children.keys()) {
      if (isWhiteout(name)) lower.children.delete(hiddenName(name))
    }
    for (const [name, child] of upper.children) {
      if (!isWhiteout(name)) this.#child(lower, name, child)
    }
  }

  #child(lower: Folder<BlobChunks>, name: ByteText, child: Node<Chunks>): void {
    if (child.kind !== 'dir') {
      lower.children.set(name, this.#leaf(child))
      return
    }
    const below = lower.children.get(name)
    const folder = below?.kind === 'dir' ? below : emptyFolder(child.attributes)
    lower.children.set(name, folder)
    this.folder(folder, child)
  }

  #leaf(leaf: Exclude<Node<Chunks>, Folder<Chunks>>): Node<BlobChunks> {
    if (leaf.kind !== 'reg') return leaf
    const known = this.#leaves.get(leaf)
    if (known !== undefined) return known
    const made = { ...leaf, content: { blob: this.#layer.blob, chunks: leaf.content } }
    this.#leaves.set(leaf, made)
    return made
  }
}

function emptyFolder(attributes: Attributes): Folder<BlobChunks> {
  return { kind: 'dir', attributes, children: new Map() }
}

/** One more name for a file of a lower layer. */
function link(root: Folder<BlobChunks>, path: ByteText, target: ByteText): void {
  const file = findParent(root, target)?.children.get(splitPath(target).name)
  if (file === undefined || file.kind === 'dir') {
    throw new LayerRefusedError(`${shown(path)} is a hard link to what no layer below it holds`)
  }
  findParent(root, path)?.children.set(splitPath(path).name, file)
}
