/** Ways through the tree of a layer: symlinks on them are followed and cannot leave the root (containerd continuity/fs RootPath). */
import type { ByteText } from '../../erofs/attributes.ts'
import type { LeafNumber, Leaves } from '../../erofs/leaves.ts'
import type { Child, Folder, Tree } from '../../erofs/tree.ts'
import { AmbiguousTarError } from '../../tar/entry.ts'
import { checkName, IMPLIED, shown } from './names.ts'

/** As many as containerd follows. */
const MAX_LINKS = 255

/** A path without its last name, and that. */
export function splitPath(path: ByteText): { readonly parent: ByteText; readonly name: ByteText } {
  const slash = path.lastIndexOf('/')
  return { parent: path.slice(0, Math.max(slash, 0)), name: path.slice(slash + 1) }
}

/** The folder that a clean path lies in; `undefined` where there is none. */
export function findParent(tree: Tree, path: ByteText): Folder | undefined {
  return walk(tree, splitPath(path).parent, () => undefined)?.folder
}

/** What a clean path leads to. */
export function findChild(tree: Tree, path: ByteText): Child | undefined {
  return findParent(tree, path)?.children.get(splitPath(path).name)
}

export interface Place {
  readonly folder: Folder
  readonly name: ByteText
  /** The path without symlinks. */
  readonly resolved: ByteText
}

/** The same, with all folders made that are missing. Throws AmbiguousTarError when a file is in the way, and for names as `checkName`. */
export function makeParent(tree: Tree, path: ByteText, onMade: (folder: Folder) => void): Place {
  const { parent, name } = splitPath(path)
  const found = walk(tree, parent, (folder, missing) => {
    checkName(missing)
    const made: Folder = { kind: 'dir', attributes: IMPLIED, children: new Map() }
    folder.children.set(own(missing), made)
    onMade(made)
    return made
  })
  if (found === undefined) {
    throw new AmbiguousTarError(`${shown(path)} lies below a file`)
  }
  checkName(name)
  const resolved = found.names.length === 0 ? name : `${found.names.join('/')}/${name}`
  return { folder: found.folder, name: own(name), resolved }
}

/** A part of a text keeps the whole of it in memory. */
function own(name: ByteText): ByteText {
  return Buffer.from(name, 'latin1').toString('latin1')
}

type OnMissing = (folder: Folder, name: ByteText) => Folder | undefined

function walk({ root, leaves }: Tree, path: ByteText, onMissing: OnMissing) {
  const folders: Folder[] = []
  const names: ByteText[] = []
  const ahead = path.split('/').reverse()
  let links = 0
  for (let part = ahead.pop(); part !== undefined; part = ahead.pop()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      folders.pop()
      names.pop()
      continue
    }
    const folder = folders.at(-1) ?? root
    const child = folder.children.get(part) ?? onMissing(folder, part)
    if (typeof child === 'object') {
      folders.push(child)
      names.push(part)
      continue
    }
    const target = child === undefined ? undefined : targetOf(leaves, child)
    if (target === undefined || ++links > MAX_LINKS) return undefined
    if (target.startsWith('/')) folders.length = names.length = 0
    for (const step of target.split('/').reverse()) ahead.push(step)
  }
  return { folder: folders.at(-1) ?? root, names }
}

function targetOf(leaves: Leaves, leaf: LeafNumber): ByteText | undefined {
  if (leaves.kindOf(leaf) !== 'symlink') return undefined
  const node = leaves.get(leaf)
  return node.kind === 'symlink' ? node.target : undefined
}
