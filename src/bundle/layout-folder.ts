/** OCI layouts in folders, in place: one image read out of many, one image added to others. */
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CrossdockError } from '../errors.ts'
import { collect } from '../lib/streams.ts'
import { algorithmOf, type Digest, Hasher, isDigest } from '../oci/digest.ts'
import type { Entry, FileEntry } from './entry.ts'
import { smallFile } from './entry.ts'
import { MAX_NESTING, parseRoots } from './foreign-layout.ts'
import { findFile } from './folder-files.ts'
import type { BundleInput } from './input-files.ts'
import {
  blobPath,
  cosignHint,
  digestOfPath,
  formatLayoutIndex,
  IMAGE_NAME,
  INDEX_FILE,
  LAYOUT_CONTENT,
  LAYOUT_FILE,
  type LayoutRoot,
  REF_NAME,
} from './layout-files.ts'
import { describeWriteError, syncFolder } from './output-files.ts'
import { makeTemporary } from './temporary-folders.ts'

/** Larger ones are no manifests. */
const MAX_MANIFEST = 4 * 1024 * 1024
/** Of a layout with tens of thousands of images. */
const MAX_INDEX = 16 * 1024 * 1024

/** One image of a layout and what refers to it; the only one when no name is given. Throws `manifestUnknown`. */
export async function openLayoutImage(
  folder: string,
  name: string | undefined,
): Promise<BundleInput> {
  const roots = parseRoots(await readIndex(folder))
  const chosen = chooseRoot(roots, name, folder)
  const wanted = new Set<Digest>()
  await addClosure(folder, chosen.digest, wanted)
  const kept = [chosen]
  for (const root of roots.filter((one) => one !== chosen)) {
    const hint = cosignHint(root)
    const subject = hint?.subject ?? (await readDocument(folder, root.digest))?.subject
    if (subject === undefined || !wanted.has(subject as Digest)) continue
    await addClosure(folder, root.digest, wanted)
    kept.push(root)
  }
  return {
    name: folder,
    explain: async () => undefined,
    entries: () => entriesOf(folder, kept, wanted),
  }
}

async function readIndex(folder: string): Promise<Uint8Array> {
  const file = await findFile(folder, INDEX_FILE)
  if (file === undefined) {
    throw new CrossdockError('notFound', `${folder} is no OCI layout: it has no index.json`)
  }
  if (file.size <= MAX_INDEX) return await collect(file.read(), MAX_INDEX)
  throw new CrossdockError(
    'badSize',
    `${join(folder, INDEX_FILE)} has ${file.size} bytes, more than the ${MAX_INDEX} allowed; check that it is an OCI layout`,
    { reason: 'too-large' },
  )
}

function chooseRoot(
  roots: readonly LayoutRoot[],
  name: string | undefined,
  folder: string,
): LayoutRoot {
  const found = roots.filter((root) => name === undefined || isNamed(root, name))
  const [first] = found
  if (first !== undefined && (name !== undefined || found.length === 1)) return first
  const names = roots.map((root) => nameOf(root) ?? root.digest)
  throw new CrossdockError(
    'manifestUnknown',
    name === undefined
      ? `${folder} holds several images; say which: ${names.slice(0, 10).join(', ')}`
      : `${folder} has no image ${name}; it has ${names.slice(0, 10).join(', ')}`,
    { reason: 'not-in-layout' },
  )
}

export function isNamed({ annotations, digest }: LayoutRoot, name: string): boolean {
  return annotations?.[REF_NAME] === name || annotations?.[IMAGE_NAME] === name || digest === name
}

function nameOf({ annotations }: LayoutRoot): string | undefined {
  return annotations?.[REF_NAME] ?? annotations?.[IMAGE_NAME]
}

/** A manifest as far as its references go; the import parses it properly. */
interface Document {
  readonly manifests: readonly Digest[]
  readonly blobs: readonly Digest[]
  readonly subject: Digest | undefined
}

/** `undefined`: it is not there, or no manifest. */
async function readDocument(folder: string, digest: Digest): Promise<Document | undefined> {
  const file = await findFile(folder, blobPath(digest))
  if (file === undefined || file.size > MAX_MANIFEST) return undefined
  let raw: unknown
  try {
    raw = JSON.parse(new TextDecoder().decode(await collect(file.read(), MAX_MANIFEST)))
  } catch {
    return undefined
  }
  if (!isObject(raw)) return undefined
  return {
    manifests: digestsIn(raw.manifests),
    blobs: [...digestsIn([raw.config]), ...digestsIn(raw.layers)],
    subject: digestsIn([raw.subject])[0],
  }
}

function digestsIn(descriptors: unknown): Digest[] {
  if (!Array.isArray(descriptors)) return []
  return descriptors
    .map((one: unknown) => (isObject(one) ? one.digest : undefined))
    .filter((digest): digest is Digest => typeof digest === 'string' && isDigest(digest))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

/** Adds a manifest and all below it, as deep as the import looks. */
async function addClosure(
  folder: string,
  digest: Digest,
  wanted: Set<Digest>,
  depth = 1,
): Promise<void> {
  if (wanted.has(digest)) return
  wanted.add(digest)
  if (depth > MAX_NESTING) return
  const { manifests = [], blobs = [] } = (await readDocument(folder, digest)) ?? {}
  for (const blob of blobs) wanted.add(blob)
  for (const child of manifests) await addClosure(folder, child, wanted, depth + 1)
}

async function* entriesOf(
  folder: string,
  roots: readonly LayoutRoot[],
  wanted: ReadonlySet<Digest>,
): AsyncGenerator<Entry> {
  yield smallFile(LAYOUT_FILE, LAYOUT_CONTENT)
  yield smallFile(INDEX_FILE, formatLayoutIndex(roots))
  for (const digest of wanted) {
    const file = await findFile(folder, blobPath(digest))
    // A child that is not there is an index's business; the import knows what an image cannot do without.
    if (file !== undefined) yield file
  }
}

/**
 * Adds images to a layout, made if need be; one of the same name is replaced. `index.json` comes last, so that a reader sees
 * the layout as it was or as it will be.
 */
export async function addToLayout(
  folder: string,
  roots: readonly LayoutRoot[],
  blobs: AsyncIterable<FileEntry>,
): Promise<void> {
  try {
    await mkdir(folder, { recursive: true })
    // Before gigabytes are written beside an index that cannot take them.
    await rootsBefore(folder)
    const temporary = await makeTemporary(folder)
    try {
      const folders = new Set<string>()
      for await (const blob of blobs) await addBlob(folder, temporary, blob, folders)
      for (const one of folders) await syncFolder(one)
      const others = (await rootsBefore(folder)).filter(
        (old) => !roots.some((root) => replaces(root, old)),
      )
      await put(join(folder, LAYOUT_FILE), temporary, smallFile(LAYOUT_FILE, LAYOUT_CONTENT))
      const index = smallFile(INDEX_FILE, formatLayoutIndex([...others, ...roots]))
      await put(join(folder, INDEX_FILE), temporary, index)
      await syncFolder(folder)
    } finally {
      await rm(temporary, { recursive: true, force: true })
    }
  } catch (error) {
    throw describeWriteError(folder, error)
  }
}

/** What a layout names already; nothing when it is being made. */
async function rootsBefore(folder: string): Promise<readonly LayoutRoot[]> {
  try {
    return parseRoots(await readIndex(folder))
  } catch (error) {
    if (!(error instanceof CrossdockError)) throw error
    if (error.kind === 'notFound') return []
    if (error.kind !== 'badManifest') throw error
    throw new CrossdockError(
      'badManifest',
      `${folder} takes no image: its index.json is not that of an OCI layout; choose another folder`,
      { cause: error },
    )
  }
}

function replaces(root: LayoutRoot, old: LayoutRoot): boolean {
  const name = nameOf(root)
  return name === undefined
    ? root.digest === old.digest && nameOf(old) === undefined
    : nameOf(old) === name
}

async function addBlob(
  folder: string,
  temporary: string,
  blob: FileEntry,
  folders: Set<string>,
): Promise<void> {
  const path = join(folder, blob.name)
  if (await isSound(folder, blob)) return
  await mkdir(dirname(path), { recursive: true })
  await put(path, temporary, blob)
  folders.add(dirname(path))
}

/** Whether the layout has these very bytes: a size proves nothing. */
async function isSound(folder: string, blob: FileEntry): Promise<boolean> {
  const digest = digestOfPath(blob.name)
  if (digest === undefined) return false
  const file = await findFile(folder, blob.name)
  if (file?.size !== blob.size) return false
  const hasher = new Hasher(algorithmOf(digest))
  for await (const chunk of file.read()) hasher.update(chunk)
  return hasher.digest() === digest
}

async function put(path: string, temporary: string, entry: FileEntry): Promise<void> {
  const draft = join(temporary, basename(path))
  const file = await open(draft, 'w', 0o644)
  try {
    for await (const chunk of entry.read()) await file.writeFile(chunk)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
}
