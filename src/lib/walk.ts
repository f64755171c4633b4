/**
 * The bounds of a walk over documents that name each other and that anybody may have written: each is visited once, however
 * often it is named; there is a total; and others get their turn meanwhile, since what lies in memory never waits.
 */
import { setImmediate } from 'node:timers/promises'
import { CrossdockError } from '../errors.ts'

/** Nodes of one walk: a thousand platforms with an attestation each need fewer. */
export const MAX_NODES = 4_096

/** Bytes of their documents, for who holds all of them: a thousand of the usual ones have a sixteenth of it. */
export const MAX_BYTES = 64 * 1024 * 1024

/** What is done between two turns of the event loop: eight new nodes, or a few hundred mentions of old ones. */
const TURN = 512
const NEW_NODE = 64

export class Walk {
  readonly #what: string
  readonly #total: number
  readonly #seen = new Set<string>()
  #done = 0
  #bytes = 0

  /** `what` is walked, for messages: `index sha256:...`. */
  constructor(what: string, total: number = MAX_NODES) {
    this.#what = what
    this.#total = total
  }

  /** True for a node that was not visited yet. Throws `refused` beyond the total. */
  async enter(node: string): Promise<boolean> {
    const isNew = !this.#seen.has(node)
    if (isNew && this.isFull) throw this.#beyond(`more than ${this.#total} manifests`)
    this.#seen.add(node)
    this.#done += isNew ? NEW_NODE : 1
    if (this.#done >= TURN) {
      this.#done = 0
      await setImmediate()
    }
    return isNew
  }

  /** Counts the bytes of a node. Throws `refused` beyond their total. */
  weigh(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes > MAX_BYTES) throw this.#beyond(`manifests of more than ${MAX_BYTES} bytes`)
  }

  /** True when nothing new can be entered any more. */
  get isFull(): boolean {
    return this.#seen.size >= this.#total
  }

  #beyond(what: string): CrossdockError {
    return new CrossdockError(
      'refused',
      `${this.#what} leads to ${what}, more than are followed; pull it without a profile, or one of its images by digest`,
      { reason: 'too-many-manifests' },
    )
  }
}
