/** Sidecars as JSON files, one for each manifest in the store; every change is atomic and durable. */
import { open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import { outputsOf } from '../outputs.ts'
import type { ConvertedImage } from '../ports/conversions.ts'
import type { Sidecar, SidecarStore } from '../ports/sidecars.ts'
import { madeOf, recorded } from '../recorded.ts'
import { isMissing, storeFailure } from './failures.ts'
import { readFanOut } from './fan-out.ts'
import { FILE_MODE, type Layout, publish, syncFolder } from './layout.ts'
import type { FileLock } from './lock.ts'
import { isSidecar, type RecordedConversion, type RecordedSidecar } from './sound-records.ts'
import { readDocument } from './stored-documents.ts'
import { parseSummedJson, summedJson } from './summed-json.ts'
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
      const sidecar = parseSidecar(digest, await readFile(this.#layout.sidecar(digest), 'utf8'))
      if (sidecar === undefined) return undefined
      const conversion = sidecar.conversion && (await this.#complete(sidecar.conversion))
      return { ...sidecar, conversion }
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

  /** Sidecars did not always list outputs. */
  async #complete(conversion: RecordedConversion): Promise<ConvertedImage | undefined> {
    const made = madeOf(conversion)
    if (made === undefined) return undefined
    const { outputs, layers } = made
    if (outputs !== undefined) return { ...made, outputs }
    const [target, source] = await Promise.all([
      readDocument(this.#layout, conversion.target),
      readDocument(this.#layout, conversion.source),
    ])
    return { ...made, outputs: outputsOf({ target, source, layers }) }
  }

  async #write(digest: Digest, sidecar: Sidecar | undefined): Promise<void> {
    const path = this.#layout.sidecar(digest)
    try {
      if (sidecar === undefined) await removeDurably(path)
      else await writeDurably(this.#temp.next(), path, `${summedJson(written(sidecar))}\n`)
    } catch (error) {
      throw storeFailure(`write the sidecar of ${digest}`, error)
    }
  }
}

function written({ conversion, ...sidecar }: Sidecar): RecordedSidecar {
  return { ...sidecar, conversion: conversion && recorded(conversion) }
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

/** A sidecar that rotted counts as absent: its manifest is then asked of upstream again. */
function parseSidecar(digest: Digest, text: string): RecordedSidecar | undefined {
  const sidecar = parseSummedJson(text)
  return isSidecar(sidecar) && sidecar.digest === digest ? sidecar : undefined
}
