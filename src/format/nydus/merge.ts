/**
 * The layers of an image put on top of one another (image-spec "layer.md#whiteouts"): whiteouts hide what is below them and never what
 * comes with them, folders join, anything else replaces.
 */
import type { Attributes, ByteText, Folder } from '../../erofs/tree.ts'
import { Turns } from '../../lib/turns.ts'
import { LayerRefusedError } from '../format.ts'
import type { BlobEntry } from './bootstrap-tables.ts'
import type { ContentRules } from './bootstrap.ts'
import type { Chunks, LayerTree } from './layer-tree.ts'
import { hiddenName, IMPLIED, isWhiteout, OPAQUE, shown } from './names.ts'
import { findParent, splitPath } from './paths.ts'

export interface Layer {
  readonly tree: LayerTree<BlobChunks>
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
export async function mergeLayers(layers: readonly Layer[]): Promise<Folder<BlobChunks>> {
  const root: Folder<BlobChunks> = { kind: 'dir', attributes: IMPLIED, children: new Map() }
  const turns = new Turns(NAMES_A_TURN)
  for (const layer of layers) {
    await new Merge(layer).folder(root, layer.tree.root)
    for (const [path, target] of layer.tree.lowerLinks) {
      link(root, path, target)
      await turns.spend(LINK_WORK)
    }
  }
  return root
}

/** What is merged in one turn of the event loop. */
const NAMES_A_TURN = 2048
/** Two ways through the tree, in names. */
const LINK_WORK = 8

class Merge {
  readonly #layer: Layer
  readonly #turns = new Turns(NAMES_A_TURN)

  constructor(layer: Layer) {
    this.#layer = layer
  }

  async folder(lower: Folder<BlobChunks>, upper: Folder<BlobChunks>): Promise<void> {
    if (!this.#layer.tree.implied.has(upper)) lower.attributes = upper.attributes
    if (upper.children.has(OPAQUE)) lower.children.clear()
    for (const name of upper.children.keys()) {
      if (isWhiteout(name)) lower.children.delete(hiddenName(name))
      await this.#turns.spend()
    }
    for (const [name, child] of upper.children) {
      await this.#turns.spend()
      if (isWhiteout(name)) continue
      if (child.kind === 'dir') await this.folder(folderIn(lower, name, child.attributes), child)
      else lower.children.set(name, child)
    }
  }
}

/** The folder of a name, in place of what is no folder. */
function folderIn(
  lower: Folder<BlobChunks>,
  name: ByteText,
  attributes: Attributes,
): Folder<BlobChunks> {
  const below = lower.children.get(name)
  if (below?.kind === 'dir') return below
  const made: Folder<BlobChunks> = { kind: 'dir', attributes, children: new Map() }
  lower.children.set(name, made)
  return made
}

/** One more name for a file of a lower layer. */
function link(root: Folder<BlobChunks>, path: ByteText, target: ByteText): void {
  const file = findParent(root, target)?.children.get(splitPath(target).name)
  if (file === undefined || file.kind === 'dir') {
    throw new LayerRefusedError(`${shown(path)} is a hard link to what no layer below it holds`)
  }
  findParent(root, path)?.children.set(splitPath(path).name, file)
}
