/**
 * Journals of what no sidecar says, so that a rebuilt catalog opens no more and no less than the lost one: which repository
 * has proven or made which blob, which platforms were learned, which tags were forgotten. A manifest that names a blob
 * proves nothing: anybody can push one.
 */
import { constants } from 'node:fs'
import { open, readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type Digest, isDigest } from '../oci/digest.ts'
import type { Platform } from '../oci/manifest.ts'
import type { Link, Repository } from '../ports.ts'
import { isMissing, storeFailure } from './failures.ts'
import { FILE_MODE, type Layout, makeFolder, syncFolder } from './layout.ts'
import { isForgottenTag, isPlatformLine, isProofLine } from './sound-records.ts'

const SUFFIX = '.links'
const PLATFORMS = 'platforms.jsonl'
const FORGOTTEN = 'forgotten.jsonl'

/** Appended at once, never rewritten: two processes cannot tear each other's lines. */
const APPEND = constants.O_APPEND | constants.O_WRONLY

/** Claims of this tag that are no younger than `at` (ms since 1970) are void. */
export interface ForgottenTag extends Repository {
  readonly tag: string
  readonly at: number
}

export interface ProofLine extends Repository {
  readonly size: number
  readonly standing: 'proven' | 'made'
  readonly role?: 'config'
}

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

  async addPlatform({ upstream, name }: Repository, platform: Platform): Promise<void> {
    await this.#append(join(this.#layout.sidecars, PLATFORMS), { upstream, name, platform })
  }

  /** A tag that has moved is claimed by every manifest it ever named; none of them may bring it back. */
  async addForgotten({ upstream, name }: Repository, tag: string, at: number): Promise<void> {
    await this.#append(join(this.#layout.sidecars, FORGOTTEN), { upstream, name, tag, at })
  }

  async *list(): AsyncGenerator<Repository & Link> {
    for (const algorithm of ['sha256', 'sha512']) {
      const root = join(this.#layout.sidecars, algorithm)
      for (const folder of await names(root)) {
        for (const file of await names(join(root, folder))) {
          const digest = `${algorithm}:${file.slice(0, -SUFFIX.length)}`
          if (file.endsWith(SUFFIX) && isDigest(digest)) yield* this.#read(digest)
        }
      }
    }
  }

  async *listPlatforms(): AsyncGenerator<Repository & { readonly platform: Platform }> {
    for (const line of await readLines(join(this.#layout.sidecars, PLATFORMS))) {
      if (isPlatformLine(line)) yield line
    }
  }

  async *listForgotten(): AsyncGenerator<ForgottenTag> {
    for (const line of await readLines(join(this.#layout.sidecars, FORGOTTEN))) {
      if (isForgottenTag(line)) yield line
    }
  }

  async *#read(digest: Digest): AsyncGenerator<Repository & Link> {
    for (const line of await readLines(this.#layout.proofs(digest))) {
      if (!isProofLine(line)) continue
      const { upstream, name, size, standing, role } = line
      yield { upstream, name, digest, size, standing, ...(role && { role }) }
    }
  }

  async #append(path: string, line: object): Promise<void> {
    try {
      await makeFolder(dirname(path))
      await append(path, `${JSON.stringify(line)}\n`)
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

/** Lines that were torn by a power cut are left out; so is, by those who ask, what is no such line. */
async function readLines(path: string): Promise<unknown[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (isMissing(error)) return ''
    throw storeFailure(`read ${path}`, error)
  })
  const lines: unknown[] = []
  for (const line of text.split('\n')) {
    try {
      if (line !== '') lines.push(JSON.parse(line))
    } catch {}
  }
  return lines
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (isMissing(error)) return []
    throw storeFailure(`list ${folder}`, error)
  }
}
