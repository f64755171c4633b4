/** Small documents that several processes change: compare and swap by ETag, and again on what another has written. */
import { CrossdockError } from '../../errors.ts'
import type { Objects } from './objects.ts'

/** Tries before it is given up: so many others cannot come first at every one of them. */
const TRIES = 40

/** The longest wait before a try, ms, at first and later. */
const FIRST_WAIT_MS = 8
const LONGEST_WAIT_MS = 400

export interface Document<T> {
  readonly key: string
  /** `undefined`: it is damaged, or was removed; it then counts as absent. */
  parse(text: string): T | undefined | Promise<T | undefined>
  format(value: T): string
}

export class Swaps {
  readonly #objects: Objects
  readonly #random: () => number
  /** This process's own changes of a document come one after the other: only others' are met by trying again. */
  readonly #tails = new Map<string, Promise<unknown>>()

  constructor(objects: Objects, random: () => number = Math.random) {
    this.#objects = objects
    this.#random = random
  }

  async read<T>(document: Document<T>): Promise<T | undefined> {
    const found = await this.#objects.text(document.key)
    return found && (await document.parse(found.text))
  }

  /**
   * `undefined` from `change` leaves an empty object behind: not every server deletes on a condition. `isNew`: the first try is
   * without a look at what is there.
   */
  async update<T>(
    document: Document<T>,
    change: (current: T | undefined) => T | undefined,
    isNew = false,
  ): Promise<T | undefined> {
    const { key } = document
    const before = this.#tails.get(key) ?? Promise.resolve()
    const turn = before.then(() => this.#update(document, change, isNew))
    const tail = turn.catch(() => undefined)
    this.#tails.set(key, tail)
    try {
      return await turn
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
  }

  async #update<T>(
    document: Document<T>,
    change: (current: T | undefined) => T | undefined,
    isNew: boolean,
  ): Promise<T | undefined> {
    for (let tries = 0; tries < TRIES; tries += 1) {
      const isBlind = isNew && tries === 0
      const found = isBlind ? undefined : await this.#objects.text(document.key)
      const current = found && (await document.parse(found.text))
      const next = change(current)
      if (next === current) return next
      const text = next === undefined ? '' : document.format(next)
      if (text === found?.text) return next
      const condition =
        found === undefined
          ? ({ kind: 'absent' } as const)
          : ({ kind: 'unchanged', etag: found.etag } as const)
      if (await this.#objects.put(document.key, text, condition)) return next
      if (isBlind) continue
      const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries)
      await new Promise((resolve) => setTimeout(resolve, longest * this.#random()))
    }
    throw new CrossdockError(
      'overloaded',
      `${document.key} was changed by others ${TRIES} times in a row; try again`,
      { reason: 's3-contended', retryAfter: 1 },
    )
  }
}
