/** Trees of nydus layers and of EROFS as plain objects, and the other way round. */
import type { Attributes } from '../../src/erofs/attributes.ts'
import { type Leaf, Leaves } from '../../src/erofs/leaves.ts'
import type { Child, Folder, Tree } from '../../src/erofs/tree.ts'
import type { LayerTree } from '../../src/format/nydus/layer-tree.ts'

/** By name; the same object under several names is one file with hard links. */
export interface PlainFolder {
  readonly [name: string]: Leaf | PlainFolder
}

/** Folders have these attributes. */
export function treeFrom(root: PlainFolder, attributes: Attributes): Tree {
  const leaves = new Leaves()
  const numbers = new Map<Leaf, number>()
  const childOf = (one: Leaf | PlainFolder): Child => {
    if (!isLeaf(one)) return folderOf(one)
    const number = numbers.get(one) ?? leaves.add(one)
    numbers.set(one, number)
    return number
  }
  const folderOf = (one: PlainFolder): Folder => {
    const children = Object.entries(one).map(([name, child]) => [name, childOf(child)] as const)
    return { kind: 'dir', attributes, children: new Map(children) }
  }
  return { root: folderOf(root), leaves }
}

function isLeaf(one: Leaf | PlainFolder): one is Leaf {
  return typeof one.kind === 'string'
}

/** What `path` leads to, without following symlinks. */
export function childAt({ root }: Tree, ...path: string[]): Child | undefined {
  let child: Child | undefined = root
  for (const name of path) child = typeof child === 'object' ? child.children.get(name) : undefined
  return child
}

/** Everything of a layer by path: folders with whether they are implied, leaves with their chunks and the first path that they had. */
export function plainOf(tree: LayerTree): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  const first = new Map<number, string>()
  const visit = (folder: Folder, path: string) => {
    found[path] = { attributes: folder.attributes, isImplied: tree.implied.has(folder) }
    for (const [name, child] of folder.children) {
      const own = `${path}/${name}`
      if (typeof child === 'object') visit(child, own)
      else {
        const link = first.get(child) ?? own
        first.set(child, link)
        const leaf = tree.leaves.get(child)
        const chunks = leaf.kind === 'reg' ? [...tree.contents.chunksOf(leaf.content)] : []
        found[own] = { ...leaf, content: undefined, chunks, link }
      }
    }
  }
  visit(tree.root, '')
  return { found, lowerLinks: tree.lowerLinks, dropped: tree.dropped }
}
