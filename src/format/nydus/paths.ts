/** Ways through the tree of a layer: symlinks on them are followed and cannot leave the root (containerd continuity/fs RootPath). */
import type { ByteText, Folder } from '../../erofs/tree.ts'
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
export function findParent<C>(root: Folder<C>, path: ByteText): Folder<C> | undefined {
  return walk(root, splitPath(path).parent, () => undefined)?.folder
}

export interface Place<C> {
  readonly folder: Folder<C>
  readonly name: ByteText
  /** The path without symlinks. */
  readonly resolved: ByteText
}

/** The same, with all folders made that are missing. Throws AmbiguousTarError when a file is in the way, and for names as `checkName`. */
export function makeParent<C>(
  root: Folder<C>,
  path: ByteText,
  onMade: (folder: Folder<C>) => void,
): Place<C> {
  const { parent, name } = splitPath(path)
  const found = walk(root, parent, (folder, missing) => {
    checkName(missing)
    const made: Folder<C> = { kind: 'dir', attributes: IMPLIED, children: new Map() }
    folder.children.set(missing, made)
    onMade(made)
    return made
  })
  if (found === undefined) {
    throw new AmbiguousTarError(`${shown(path)} lies below a file`)
  }
  checkName(name)
  const resolved = found.names.length === 0 ? name : `${found.names.join('/')}/${name}`
  return { folder: found.folder, name, resolved }
}

type OnMissing<C> = (folder: Folder<C>, name: ByteText) => Folder<C> | undefined

function walk<C>(root: Folder<C>, path: ByteText, onMissing: OnMissing<C>) {
  const folders: Folder<C>[] = []
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
    if (child?.kind === 'dir') {
      folders.push(child)
      names.push(part)
    } else if (child?.kind === 'symlink' && ++links <= MAX_LINKS) {
      if (child.target.startsWith('/')) folders.length = names.length = 0
      for (const step of child.target.split('/').reverse()) ahead.push(step)
    } else return undefined
  }
  return { folder: folders.at(-1) ?? root, names }
}
