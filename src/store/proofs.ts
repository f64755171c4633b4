/**
 * Journals of what no sidecar says, so that a rebuilt catalog opens no more and no less than the lost one: which repository
 * has proven or made which blob, which platforms were learned, which tags were forgotten. A manifest that names a blob
 * proves nothing: anybody can push one.
 */
import { constants } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Digest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Repository } from '../oci/repository.ts'
import type { Link } from '../ports/links.ts'
import type { Pin } from '../ports/pins.ts'
import { isMissing, storeFailure } from './failures.ts'
import { readFanOut } from './fan-out.ts'
import type { ForgottenTag, LearnedPlatform, PinLine, Proof } from './journal-lines.ts'
import { FILE_MODE, type Layout, makeFolder, syncFolder } from './layout.ts'
import { isForgottenTag, isPinLine, isPlatformLine, isProofLine } from './sound-records.ts'
import { parseSummedJson, summedJson } from './summed-json.ts'

const SUFFIX = '.links'
const PLATFORMS = 'platforms.jsonl'
const FORGOTTEN = 'forgotten.jsonl'
const PINS = 'pins.jsonl'

/** Appended at once, never rewritten: two processes cannot tear each other's lines. */
const APPEND = constants.O_APPEND | constants.O_WRONLY

export class Proofs {
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  /** Durable when it resolves. */
  async add({ upstream, name }: Repository, link: Link): Promise<void> {
    const { digest, size, standing, role } = link
    await this.#append(this.#layout.proofs(digest), { upstream, name, size, standing, role })
  }

  async addPlatform({ upstream, name }: Repository, platform: Platform, at: number): Promise<void> {
    await this.#append(join(this.#layout.sidecars, PLATFORMS), { upstream, name, platform, at })
  }

  /** A tag that has moved is claimed by every manifest it ever named; none of them may bring it back. */
  async addForgotten({ upstream, name }: Repository, tag: string, at: number): Promise<void> {
    await this.#append(join(this.#layout.sidecars, FORGOTTEN), { upstream, name, tag, at })
  }

  async addPin({ upstream, name, reference }: Pin, isPinned: boolean): Promise<void> {
    await this.#append(join(this.#layout.sidecars, PINS), { upstream, name, reference, isPinned })
  }

  async *list(): AsyncGenerator<Proof> {
    for await (const some of readFanOut(this.#layout.sidecars, SUFFIX, (one) => this.find(one))) {
      yield* some
    }
  }

  /** All of one blob. */
  async find(digest: Digest): Promise<readonly Proof[]> {
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

  async *listPins(): AsyncGenerator<PinLine> {
    const lines = await readLines(join(this.#layout.sidecars, PINS))
    yield* lines.filter(isPinLine)
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
  const text = await readFile(path, 'utf8').catch((error) => {
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
