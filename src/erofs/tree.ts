/** A file system as it is written: folders and what lies in them. What the bytes of a file are made of is the writer's business. */
import { sortTexts } from '../lib/sort-texts.ts'

/** A name or a link's target as bytes, one character (U+0000 to U+00FF) each: any bytes can be held, and `<` sorts bytewise. */
export type ByteText = string

/** Seconds since 1970, negative before, and the nanoseconds after them (0 to 999,999,999). */
export interface NodeTime {
  readonly seconds: number
  readonly nanos: number
}

export interface Attributes {
  /** Permission bits, set-id bits and the sticky bit: 0 to 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: NodeTime
  /** Extended attributes by their full names. */
  readonly xattrs: ReadonlyMap<ByteText, Uint8Array>
}

export interface Folder<C> {
  readonly kind: 'dir'
  attributes: Attributes
  readonly children: Map<ByteText, Node<C>>
}

export interface RegularFile<C> {
  readonly kind: 'reg'
  readonly attributes: Attributes
  /** Bytes. */
  readonly size: number
  /** Where they are. */
  readonly content: C
}

export interface Symlink {
  readonly kind: 'symlink'
  readonly attributes: Attributes
  readonly target: ByteText
}

export interface Device {
  readonly kind: 'char' | 'block'
  readonly attributes: Attributes
  readonly major: number
  readonly minor: number
}

export interface Pipe {
  readonly kind: 'fifo'
  readonly attributes: Attributes
}

/** What is no folder; the same object under several names is one file with hard links. */
export type Leaf<C> = RegularFile<C> | Symlink | Device | Pipe

export type Node<C> = Folder<C> | Leaf<C>

export type NodeKind = Node<unknown>['kind']

/** Names of a folder in the order of their bytes. */
export async function sortedNames(folder: Folder<unknown>): Promise<ByteText[]> {
  return await sortTexts(folder.children.keys())
}
