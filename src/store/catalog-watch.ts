/** Notices when the catalog's file is deleted or replaced under an open connection, which would go on with a file that nobody sees. */
import { stat } from 'node:fs/promises'
import { isMissing } from './failures.ts'

/** How often it looks, ms. */
const LOOK_MS = 1_000

export class CatalogWatch implements AsyncDisposable {
  readonly #path: string
  readonly #onLost: () => Promise<void>
  readonly #timer: NodeJS.Timeout
  #inode: number
  #looking: Promise<void> | undefined

  private constructor(path: string, inode: number, onLost: () => Promise<void>) {
    this.#path = path
    this.#inode = inode
    this.#onLost = onLost
    this.#timer = setInterval(() => {
      this.#looking ??= this.#look().finally(() => {
        this.#looking = undefined
      })
    }, LOOK_MS)
    this.#timer.unref()
  }

  /** `onLost` opens another file under the same path; when it fails it is called again. */
  static async start(path: string, onLost: () => Promise<void>): Promise<CatalogWatch> {
    return new CatalogWatch(path, (await inodeOf(path)) ?? 0, onLost)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
  }

  async #look(): Promise<void> {
    try {
      if ((await inodeOf(this.#path)) === this.#inode) return
      await this.#onLost()
      this.#inode = (await inodeOf(this.#path)) ?? 0
    } catch {
      // Tried again at the next look; until then the old file answers.
    }
  }
}

async function inodeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).ino
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
