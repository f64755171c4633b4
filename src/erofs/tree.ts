/** A file system as it is written: folders and what lies in them. What the bytes of a file are made of is the writer's business. */
import { sortTexts } from '../lib/sort-texts.ts'
import type { Attributes, ByteText } from './attributes.ts'
import type { Leaf, LeafNumber, Leaves } from './leaves.ts'

export interface Folder {
  readonly kind: 'dir'
  attributes: Attributes
  readonly children: Map<ByteText, Child>
}

/** A folder, or the number of what is none: the same number under several names is one file with hard links. */
export type Child = Folder | LeafNumber

export type NodeKind = (Folder | Leaf)['kind']

/** A file system. */
export interface Tree {
  readonly root: Folder
  readonly leaves: Leaves
}

/** Names of a folder in the order of their bytes. */
export async function sortedNames(folder: Folder): Promise<ByteText[]> {
  return await sortTexts(folder.children.keys())
}
