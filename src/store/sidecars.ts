/** Sidecars as JSON files, one for each manifest in the store; every change is atomic and durable. */
import { open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import type { Sidecar, SidecarStore } from '../ports/sidecars.ts'
import { isMissing, storeFailure } from './failures.ts'
import { readFanOut } from './fan-out.ts'
import { FILE_MODE, type Layout, publish, READ_FLAGS, syncFolder } from './layout.ts'
import type { FileLock } from './lock.ts'
import { formatSidecar, parseSidecar } from './sidecar-documents.ts'
import { readDocument } from './stored-documents.ts'
import type { TempFiles } from './temp-files.ts'

const SUFFIX = '.json'

export class FsSidecars implements SidecarStore {
  readonly #layout: Layout
  readonly #temp: TempFiles
  /** Between processes: two of them may know places of one manifest. */
  readonly #lock: FileLock
  /** Within this one. */
  #queue: Promise<unknown> = Promise.resolve()

  constructor(layout: Layout, temp: TempFiles, lock: FileLock) {
    this.#layout = layout
    this.#temp = temp
    this.#lock = lock
  }

  async read(digest: Digest): Promise<Sidecar | undefined> {
    try {
      const text = await readFile(this.#layout.sidecar(digest), {
        encoding: 'utf8',
        flag: READ_FLAGS,
      })
      return await parseSidecar(digest, text, (one) => readDocument(this.#layout, one))
    } catch (error) {
      if (isMissing(error)) return undefined
      throw storeFailure(`read the sidecar of ${digest}`, error)
    }
  }

  update(
    digest: Digest,
    change: (current: Sidecar | undefined) => Sidecar | undefined,
  ): Promise<Sidecar | undefined> {
    const turn = this.#queue.then(async () => {
      await this.#lock.acquire()
      try {
        const next = change(await this.read(digest))
        await this.#write(digest, next)
        return next
      } finally {
        this.#lock.release()
      }
    })
    this.#queue = turn.catch(() => undefined)
    return turn
  }

  list(): AsyncGenerator<Sidecar> {
    return readFanOut(this.#layout.sidecars, SUFFIX, (digest) => this.read(digest))
  }

  async #write(digest: Digest, sidecar: Sidecar | undefined): Promise<void> {
    const path = this.#layout.sidecar(digest)
    try {
      if (sidecar === undefined) await removeDurably(path)
      else await writeDurably(this.#temp.next(), path, formatSidecar(sidecar))
    } catch (error) {
      throw storeFailure(`write the sidecar of ${digest}`, error)
    }
  }
}

async function writeDurably(temp: string, path: string, text: string): Promise<void> {
  try {
    const handle = await open(temp, 'wx', FILE_MODE)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await publish(temp, path)
  } catch (error) {
    await rm(temp, { force: true })
    throw error
  }
}

async function removeDurably(path: string): Promise<void> {
  try {
    await rm(path)
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  await syncFolder(dirname(path))
}
