/**
 * Notes, inside the process, what it did to names and files and what it synced, so that `loseUnsynced` can take back what a disk
 * may lose. What a rename or removal would destroy is kept beside the journal by a hard link.
 */
import { appendFileSync, linkSync, lstatSync } from 'node:fs'

export type Change =
  | { readonly op: 'create' | 'mkdir'; readonly path: string; readonly ino: number }
  | { readonly op: 'rename' | 'remove'; readonly path: string; readonly saved?: string }

/** A line of the journal; its number is the time. */
export type Line =
  | Change
  /** Everything that changed in this folder before line `upTo` is durable. */
  | { readonly op: 'sync folder'; readonly path: string; readonly upTo: number }
  /** The first `size` bytes of this file are durable. */
  | { readonly op: 'sync file'; readonly ino: number; readonly size: number }

export class Journal {
  readonly #file: string
  #lines = 0
  #saved = 0

  constructor(file: string) {
    this.#file = file
  }

  /** `saved`: what stood there before, kept. */
  changed(op: 'rename' | 'remove', path: string, saved: string | undefined): void {
    this.#note({ op, path, ...(saved !== undefined && { saved }) })
  }

  made(op: 'create' | 'mkdir', path: string): void {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found !== undefined) this.#note({ op, path, ino: found.ino })
  }

  /** Call it before a file's or folder's sync, and what it returns when that has succeeded. */
  syncing(path: string, found: { readonly ino: number; readonly size: number }): () => void {
    const upTo = this.#lines
    const { ino, size } = found
    const isFolder = lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true
    return () =>
      this.#note(isFolder ? { op: 'sync folder', path, upTo } : { op: 'sync file', ino, size })
  }

  /** Keeps what stands under this name. */
  save(path: string): string | undefined {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isFile() !== true) return undefined
    this.#saved += 1
    const saved = `${this.#file}-${this.#saved}`
    linkSync(path, saved)
    return saved
  }

  #note(line: Line): void {
    appendFileSync(this.#file, `${JSON.stringify(line)}\n`)
    this.#lines += 1
  }
}
