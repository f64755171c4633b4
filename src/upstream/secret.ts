/** A secret or certificate of the configuration as it is now: files are read again when they changed, since passwords rotate. */
import { readFile, stat } from 'node:fs/promises'
import { CrossdockError } from '../errors.ts'
import type { Secret } from './settings.ts'

/** More is the wrong file. */
const MAX_FILE_BYTES = 1024 * 1024

export class SecretText {
  readonly #secret: Secret
  #known: { readonly text: string; readonly version: string } | undefined

  constructor(secret: Secret) {
    this.#secret = secret
  }

  /** `fresh`: whatever the file's times say. A file that is being replaced has the text that it had before. */
  async read(how: { readonly fresh?: boolean } = {}): Promise<string> {
    if (typeof this.#secret === 'string') return this.#secret
    const { file } = this.#secret
    try {
      const version = await versionOf(file)
      if (this.#known?.version !== version || how.fresh) {
        const text = await readFile(file, 'utf8')
        if (text !== '' || this.#known === undefined) this.#known = { text, version }
      }
    } catch (cause) {
      if (this.#known === undefined) throw unreadable(file, cause)
    }
    return this.#known?.text ?? ''
  }
}

async function versionOf(file: string): Promise<string> {
  const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true })
  if (size > MAX_FILE_BYTES) throw new Error('it is larger than 1 MiB')
  return `${dev} ${ino} ${size} ${mtimeNs}`
}

function unreadable(file: string, cause: unknown): CrossdockError {
  return new CrossdockError(
    'upstreamFailed',
    `cannot read ${file}, which the configuration of an upstream names; check that it is there and readable`,
    { cause, reason: 'secret-unreadable' },
  )
}
