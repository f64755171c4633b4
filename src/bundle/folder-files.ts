/**
 * Files of a folder that somebody else filled. A link is another name for a file in the same folder; one that leads to a folder
 * or out of it leads nowhere, so that neither loops are walked nor the rest of the machine is read.
 */
import { constants, type Dirent } from 'node:fs'
import { lstat, opendir, realpath } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { CrossdockError } from '../errors.ts'
import type { Entry, FileEntry } from './entry.ts'
import { METADATA_FILES } from './layout-files.ts'
import { readFiles } from './read-files.ts'

/** Folders in folders; a layout has three levels. */
const MAX_DEPTH = 8
/** Names in a folder and all below it; a layout of a hundred thousand images has as many. */
const MAX_NAMES = 1_000_000

/** A link that was replaced meanwhile is not followed, and a pipe is not waited for. */
const PLAIN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** Every file and link below a folder, in the order of their names. Throws `refused` when there are too many. */
export async function* readFolder(folder: string): AsyncGenerator<Entry> {
  const root = await realpath(folder)
  yield* walk({ root, left: MAX_NAMES, name: folder }, '', 0)
}

/** A file by its name, links within the folder followed. `undefined`: it is not there, no file, or elsewhere. */
export async function findFile(folder: string, name: string): Promise<FileEntry | undefined> {
  const root = await realpath(folder).catch(() => undefined)
  const real = root === undefined ? undefined : await within(root, join(root, name))
  return real === undefined ? undefined : await fileAt(real, name)
}

interface Walk {
  readonly root: string
  readonly name: string
  left: number
}

async function* walk(at: Walk, below: string, depth: number): AsyncGenerator<Entry> {
  if (depth > MAX_DEPTH) return
  const found: Dirent[] = []
  for await (const one of await opendir(join(at.root, below))) {
    at.left -= 1
    if (at.left < 0) throw tooMany(at.name)
    found.push(one)
  }
  found.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const one of found) {
    const name = below === '' ? one.name : `${below}/${one.name}`
    if (one.isDirectory()) yield* walk(at, name, depth + 1)
    else {
      const entry = one.isSymbolicLink()
        ? await linkAt(at.root, name)
        : await fileAt(join(at.root, name), name)
      if (entry !== undefined) yield entry
    }
  }
}

async function linkAt(root: string, name: string): Promise<Entry | undefined> {
  const real = await within(root, join(root, name))
  const file = real === undefined ? undefined : await fileAt(real, name)
  if (real === undefined || file === undefined) return undefined
  // What says what the folder is must be read under its name; anything else comes under the name of its file.
  if (METADATA_FILES.has(name)) return file
  return { kind: 'link', name, target: relative(root, real).split(sep).join('/') }
}

/** Where a path really leads, as long as that is below `root`. */
async function within(root: string, path: string): Promise<string | undefined> {
  const real = await realpath(path).catch(() => undefined)
  return real?.startsWith(root.endsWith(sep) ? root : `${root}${sep}`) ? real : undefined
}

async function fileAt(path: string, name: string): Promise<FileEntry | undefined> {
  const info = await lstat(path).catch(() => undefined)
  if (info?.isFile() !== true) return undefined
  return { kind: 'file', name, size: info.size, read: () => readFiles([path], PLAIN) }
}

function tooMany(folder: string): CrossdockError {
  return new CrossdockError(
    'refused',
    `${folder} holds more than ${MAX_NAMES} files; give the folder of one bundle or OCI layout`,
    { reason: 'too-many-files' },
  )
}
