/** The URLs of one upstream: mirrors in order, then the registry itself, whose word counts. */
import { CrossdockError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { Ask, Endpoint } from './endpoint.ts'

export class Endpoints {
  readonly #mirrors: readonly Endpoint[]
  readonly #registry: Endpoint

  constructor(mirrors: readonly Endpoint[], registry: Endpoint) {
    this.#mirrors = mirrors
    this.#registry = registry
  }

  /**
   * The first usable answer. What a mirror lacks, refuses or fails at is asked of the next one; only the registry itself may
   * say no. A mirror that failed is passed over for a while.
   */
  async send(ask: Ask, how: { readonly skipMirrors?: boolean } = {}): Promise<Answer> {
    for (const mirror of how.skipMirrors ? [] : this.#mirrors) {
      if (mirror.isDown) continue
      const answer = await mirror.send(ask).catch((error: unknown) => {
        if (error instanceof CrossdockError) return undefined
        throw error
      })
      if (answer !== undefined && answer.status < 300) return answer
      await answer?.discard()
    }
    return await this.#registry.send(ask)
  }

  get hasMirrors(): boolean {
    return this.#mirrors.length > 0
  }
}
