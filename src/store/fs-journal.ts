/** The journal on disk: a file of lines for each blob, and one for each other kind of fact. */
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { ConvertedLayer } from '../ports/conversions.ts'
import type { ForgottenTag, Journal, LearnedPlatform, Proof, ProvenLink } from '../ports/journal.ts'
import type { Pin } from '../ports/pins.ts'
import { isRecordedLayer, layerOf, recordedLayer } from '../recorded.ts'
import { isMissing, storeFailure } from './failures.ts'
import { readFanOut } from './fan-out.ts'
import { FILE_MODE, type Layout, makeFolder, READ_FLAGS, syncFolder } from './layout.ts'
import { isForgottenTag, isPinLine, isPlatformLine, isProofLine } from './sound-records.ts'
import { parseSummedJson, summedJson } from './summed-json.ts'

const SUFFIX = '.links'
const PLATFORMS = 'platforms.jsonl'
const FORGOTTEN = 'forgotten.jsonl'
const PINS = 'pins.jsonl'
const RECIPES = 'recipes.jsonl'

/** Appended at once, never rewritten: two processes cannot tear each other's lines. */
const APPEND = constants.O_APPEND | constants.O_WRONLY | constants.O_NONBLOCK

export class FsJournal implements Journal {
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  async prove({ upstream, name }: Repository, links: readonly ProvenLink[]): Promise<void> {
    for (const { digest, size, standing, role } of links) {
      await this.#append(this.#layout.proofs(digest), { upstream, name, size, standing, role })
    }
  }

  async learnPlatform(
    { upstream, name }: Repository,
    platform: Platform,
    at: number,
  ): Promise<void> {
    await this.#append(join(this.#layout.sidecars, PLATFORMS), { upstream, name, platform, at })
  }

  async forgetTag({ upstream, name }: Repository, tag: string, at: number): Promise<void> {
    await this.#append(join(this.#layout.sidecars, FORGOTTEN), { upstream, name, tag, at })
  }

  async pin({ upstream, name, reference }: Pin, isPinned: boolean): Promise<void> {
    await this.#append(join(this.#layout.sidecars, PINS), { upstream, name, reference, isPinned })
  }

  async keepRecipe(layer: ConvertedLayer): Promise<void> {
    await this.#append(join(this.#layout.sidecars, RECIPES), recordedLayer(layer))
  }

  async *listRecipes(): AsyncGenerator<ConvertedLayer> {
    const lines = await readLines(join(this.#layout.sidecars, RECIPES))
    for (const line of lines.filter(isRecordedLayer)) {
      const layer = layerOf(line)
      if (layer !== undefined && !('refused' in layer)) yield layer
    }
  }

  async *listProofs(): AsyncGenerator<Proof> {
    const find = (digest: Digest) => this.findProofs(digest)
    for await (const some of readFanOut(this.#layout.sidecars, SUFFIX, find)) {
      yield* some
    }
  }

  async findProofs(digest: Digest): Promise<readonly Proof[]> {
    const lines = await readLines(this.#layout.proofs(digest))
    return lines.filter(isProofLine).map(({ upstream, name, size, standing, role }) => ({
      ...{ upstream, name, digest, size, standing },
      ...(role && { role }),
    }))
  }

  async *listPlatforms(): AsyncGenerator<LearnedPlatform> {
    const lines = await readLines(join(this.#layout.sidecars, PLATFORMS))
    yield* lines.filter(isPlatformLine)
  }

  async *listPins(): AsyncGenerator<Pin> {
    const pins = new Map<string, Pin>()
    const lines = await readLines(join(this.#layout.sidecars, PINS))
    for (const { upstream, name, reference, isPinned } of lines.filter(isPinLine)) {
      const key = `${upstream} ${name} ${reference}`
      if (isPinned) pins.set(key, { upstream, name, reference })
      else pins.delete(key)
    }
    yield* pins.values()
  }

  async *listForgotten(): AsyncGenerator<ForgottenTag> {
    const lines = await readLines(join(this.#layout.sidecars, FORGOTTEN))
    yield* lines.filter(isForgottenTag)
  }

  async #append(path: string, line: object): Promise<void> {
    try {
      await makeFolder(dirname(path))
      await append(path, `${summedJson(line)}\n`)
      // Also where the file was there: who made it may not have come so far yet.
      await syncFolder(dirname(path))
    } catch (error) {
      throw storeFailure(`write ${path}`, error)
    }
  }
}

async function append(path: string, text: string): Promise<void> {
  const opened = await open(path, APPEND).catch((error) => {
    if (isMissing(error)) return undefined
    throw error
  })
  const handle = opened ?? (await open(path, APPEND | constants.O_CREAT, FILE_MODE))
  try {
    // A line that a power cut tore must not take this one with it.
    await handle.write(`\n${text}`)
    await handle.datasync()
  } finally {
    await handle.close()
  }
}

/** Lines that were torn by a power cut, or that rotted, are left out. */
async function readLines(path: string): Promise<object[]> {
  const text = await readFile(path, { encoding: 'utf8', flag: READ_FLAGS }).catch((error) => {
    if (isMissing(error)) return ''
    throw storeFailure(`read ${path}`, error)
  })
  const lines: object[] = []
  for (const line of text.split('\n')) {
    const value = line === '' ? undefined : parseSummedJson(line)
    if (value !== undefined) lines.push(value)
  }
  return lines
}
