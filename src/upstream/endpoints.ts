/** The URLs of one upstream: mirrors in order, then the registry itself, whose word counts. */
import { CrossdockError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { Ask } from './courier.ts'
import type { Endpoint, Peeked } from './endpoint.ts'

export class Endpoints {
  readonly #mirrors: readonly Endpoint[]
  readonly #registry: Endpoint

  constructor(mirrors: readonly Endpoint[], registry: Endpoint) {
    this.#mirrors = mirrors
    this.#registry = registry
  }

  /** How long the registry itself is not asked, ms. */
  get restMs(): number {
    return this.#registry.restMs
  }

  /**
   * The first usable answer. What a mirror lacks, refuses or fails at is asked of the next one; only the registry itself may
   * say no. A mirror that failed is passed over for a while.
   */
  async send(ask: Ask, how: { readonly skipMirrors?: boolean } = {}): Promise<Answer> {
    for (const mirror of how.skipMirrors ? [] : this.#mirrors) {
      if (mirror.isDown(ask.repository)) continue
      const answer = await unlessFailed(mirror.send(ask))
      if (answer !== undefined && answer.status < 300) return answer
      await answer?.discard()
    }
    return await this.#registry.send(ask)
  }

  /** The same for what a HEAD may tell. */
  async peek<T>(ask: Ask, read: (head: Answer) => T | undefined): Promise<Peeked<T>> {
    for (const mirror of this.#mirrors) {
      if (mirror.isDown(ask.repository)) continue
      const found = await unlessFailed(mirror.peek(ask, read))
      if (found !== undefined && ('told' in found || found.answer.status < 300)) return found
      await found?.answer.discard()
    }
    return await this.#registry.peek(ask, read)
  }
}

async function unlessFailed<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (error instanceof CrossdockError) return undefined
    throw error
  }
}
