/**
 * The tree of a layer as bytes, so that images can be put together without reading layers again: a section of our own in every nydus
 * blob. Version, then the tree: node by node, a folder before what lies in it. Numbers are LEB128, signed ones zigzag.
 */
import type { Attributes, ByteText } from '../../erofs/attributes.ts'
import type { Leaf, LeafNumber, Leaves } from '../../erofs/leaves.ts'
import type { Child, Folder } from '../../erofs/tree.ts'
import { Turns } from '../../lib/turns.ts'
import { ByteReader, ByteWriter } from './byte-record.ts'
import { COMPRESSORS, type Compressor } from './constants.ts'
import type { Contents } from './contents.ts'
import type { LayerTree } from './layer-tree.ts'
import { IMPLIED } from './names.ts'
import { SharedAttributes } from './shared-attributes.ts'

const VERSION = 1

/** `again` is one more name of a file that came before. */
const KINDS = ['dir', 'reg', 'symlink', 'char', 'block', 'fifo', 'again', 'implied'] as const
type Kind = (typeof KINDS)[number]

/** Deeper than any path that a tar can have. */
const MAX_DEPTH = 4096

/** What is said of a layer's data. */
export interface LayerHead {
  /** Of the chunks. */
  readonly compressor: Compressor
  /** Of a layer whose data stay in its original blob: hex of its sha256, and its bytes. */
  readonly original?: { readonly id: string; readonly size: number } | undefined
}

export interface LayerRecord extends LayerHead {
  readonly tree: LayerTree
}

export async function encodeLayerRecord({
  tree,
  compressor,
  original,
}: LayerRecord): Promise<Uint8Array> {
  const writer = new TreeWriter(tree)
  const turns = new Turns(NODES_A_TURN)
  const { out } = writer
  out.number(VERSION)
  out.number(COMPRESSORS[compressor])
  out.text(original?.id ?? '')
  out.number(original?.size ?? 0)
  for (const pairs of [tree.dropped, tree.lowerLinks]) {
    out.number(pairs.size)
    for (const [name, value] of pairs) {
      await turns.spend()
      out.text(name)
      out.text(String(value))
    }
  }
  await writer.folder(tree.root)
  return out.finish()
}

/** What the leaves of a record are added to. */
export interface RecordTarget {
  readonly leaves: Leaves
  readonly contents: Contents
  /** Of the contents: its place in a list, and how many chunks it has. */
  readonly blob: { readonly place: number; readonly chunks: number }
}

export interface OpenRecord {
  readonly head: LayerHead
  /** Once. Throws RangeError as `openLayerRecord`. */
  tree(into: RecordTarget): Promise<LayerTree>
}

/** Throws RangeError for what `encodeLayerRecord` has not written. */
export function openLayerRecord(bytes: Uint8Array): OpenRecord {
  const input = new ByteReader(bytes)
  if (input.number() !== VERSION) throw new RangeError('a layer record of another version')
  const compressor = readCompressor(input.number())
  const id = input.text()
  const size = input.number()
  const head = { compressor, original: id === '' ? undefined : { id, size } }
  return { head, tree: (into) => readTree(input, into) }
}

async function readTree(input: ByteReader, into: RecordTarget): Promise<LayerTree> {
  const pairs = () =>
    Array.from({ length: input.count() }, () => [input.text(), input.text()] as const)
  const dropped = new Map(pairs().map(([name, count]) => [name, Number(count)]))
  const lowerLinks = new Map(pairs())
  const reader = new TreeReader(input, into)
  const root = await reader.child(0)
  input.finish()
  if (typeof root === 'number') throw new RangeError('a layer record without a root')
  const { leaves, contents } = into
  return { root, leaves, contents, implied: reader.implied, lowerLinks, dropped }
}

function readCompressor(number: number): Compressor {
  if (number === COMPRESSORS.none) return 'none'
  return number === COMPRESSORS.gzip ? 'gzip' : 'zstd'
}

/** What is written or read in one turn of the event loop. */
const NODES_A_TURN = 1024

class TreeWriter {
  readonly out = new ByteWriter()
  readonly #turns = new Turns(NODES_A_TURN)
  readonly #tree: LayerTree
  /** By leaf: its number in the record plus 1, when it has been written. */
  readonly #seen: Uint32Array
  #count = 0

  constructor(tree: LayerTree) {
    this.#tree = tree
    this.#seen = new Uint32Array(tree.leaves.count)
  }

  async folder(folder: Folder): Promise<void> {
    const isImplied = this.#tree.implied.has(folder)
    this.#kind(isImplied ? 'implied' : 'dir')
    if (!isImplied) this.#attributes(folder.attributes)
    this.out.number(folder.children.size)
    for (const [name, child] of folder.children) {
      this.out.text(name)
      if (typeof child === 'object') await this.folder(child)
      else this.#leaf(child)
      await this.#turns.spend()
    }
  }

  #leaf(number: LeafNumber): void {
    const seen = this.#seen[number] ?? 0
    if (seen > 0) {
      this.#kind('again')
      this.out.number(seen - 1)
      return
    }
    this.#count += 1
    this.#seen[number] = this.#count
    const leaf = this.#tree.leaves.get(number)
    this.#kind(leaf.kind)
    this.#attributes(leaf.attributes)
    if (leaf.kind === 'symlink') this.out.text(leaf.target)
    else if (leaf.kind === 'reg') this.#content(leaf.size, leaf.content)
    else if (leaf.kind !== 'fifo') {
      this.out.number(leaf.major)
      this.out.number(leaf.minor)
    }
  }

  #kind(kind: Kind): void {
    this.out.number(KINDS.indexOf(kind))
  }

  #attributes({ mode, uid, gid, mtime, xattrs }: Attributes): void {
    for (const value of [mode, uid, gid]) this.out.number(value)
    this.out.signed(mtime.seconds)
    this.out.number(mtime.nanos)
    this.out.number(xattrs.size)
    for (const [name, value] of xattrs) {
      this.out.text(name)
      this.out.bytes(value)
    }
  }

  /** Chunks mostly follow one another. */
  #content(size: number, content: number): void {
    const { contents } = this.#tree
    this.out.number(size)
    this.out.number(contents.countOf(content))
    let expected = 0
    for (const chunk of contents.chunksOf(content)) {
      this.out.signed(chunk - expected)
      expected = chunk + 1
    }
  }
}

class TreeReader {
  readonly implied = new Set<Folder>()
  readonly #input: ByteReader
  readonly #into: RecordTarget
  readonly #turns = new Turns(NODES_A_TURN)
  /** Those of this record follow one another. */
  readonly #firstLeaf: LeafNumber
  readonly #shared = new SharedAttributes()

  constructor(input: ByteReader, into: RecordTarget) {
    this.#input = input
    this.#into = into
    this.#firstLeaf = into.leaves.count
  }

  async child(depth: number): Promise<Child> {
    const kind = KINDS[this.#input.number()]
    if (kind === undefined || depth > MAX_DEPTH) throw damaged()
    if (kind === 'dir' || kind === 'implied') return this.#folder(kind, depth)
    if (kind === 'again') return this.#again()
    return this.#into.leaves.add(this.#leaf(kind))
  }

  async #folder(kind: 'dir' | 'implied', depth: number): Promise<Folder> {
    const attributes = kind === 'implied' ? IMPLIED : this.#attributes()
    const folder: Folder = { kind: 'dir', attributes, children: new Map() }
    if (kind === 'implied') this.implied.add(folder)
    for (let left = this.#input.count(); left > 0; left -= 1) {
      const name: ByteText = this.#input.text()
      folder.children.set(name, await this.child(depth + 1))
      await this.#turns.spend()
    }
    return folder
  }

  #again(): LeafNumber {
    const leaf = this.#firstLeaf + this.#input.number()
    if (leaf < this.#into.leaves.count) return leaf
    throw damaged()
  }

  #leaf(kind: Leaf['kind']): Leaf {
    const attributes = this.#attributes()
    if (kind === 'symlink') return { kind, attributes, target: this.#input.text() }
    if (kind === 'fifo') return { kind, attributes }
    if (kind === 'reg')
      return { kind, attributes, size: this.#input.number(), content: this.#content() }
    return { kind, attributes, major: this.#input.number(), minor: this.#input.number() }
  }

  #attributes(): Attributes {
    const [mode, uid, gid] = [this.#input.number(), this.#input.number(), this.#input.number()]
    const mtime = { seconds: this.#input.signed(), nanos: this.#input.number() }
    const count = this.#input.count()
    if (count === 0) return this.#shared.of({ mode, uid, gid, mtime, xattrs: IMPLIED.xattrs })
    const xattrs = new Map<ByteText, Uint8Array>()
    for (let left = count; left > 0; left -= 1) xattrs.set(this.#input.text(), this.#input.bytes())
    return { mode, uid, gid, mtime, xattrs }
  }

  #content(): number {
    const { contents, blob } = this.#into
    const content = contents.open(blob.place)
    let expected = 0
    for (let left = this.#input.count(); left > 0; left -= 1) {
      const chunk = this.#input.signed() + expected
      if (chunk < 0 || chunk >= blob.chunks) throw damaged()
      contents.push(chunk)
      expected = chunk + 1
    }
    return content
  }
}

function damaged(): RangeError {
  return new RangeError('a layer record that is damaged')
}
