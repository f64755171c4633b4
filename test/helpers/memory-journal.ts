/** The journal in memory: for unit tests, and as the model that the real ones are held to. */
import type { Digest } from '../../src/oci/digest.ts'
import type { Platform } from '../../src/oci/manifest.ts'
import type { ConvertedLayer } from '../../src/ports/conversions.ts'
import type { Repository } from '../../src/oci/repository.ts'
import type {
  ForgottenTag,
  Journal,
  LearnedPlatform,
  Proof,
  ProvenLink,
} from '../../src/ports/journal.ts'
import type { Pin } from '../../src/ports/pins.ts'

export class MemoryJournal implements Journal {
  readonly #proofs = new Map<string, Proof>()
  readonly #forgotten = new Map<string, ForgottenTag>()
  readonly #platforms = new Map<string, LearnedPlatform>()
  readonly #pins = new Map<string, Pin>()
  readonly #recipes = new Map<string, ConvertedLayer>()

  async prove({ upstream, name }: Repository, links: readonly ProvenLink[]): Promise<void> {
    for (const link of links) {
      const proof = { upstream, name, ...link }
      this.#proofs.set(JSON.stringify(proof), proof)
    }
  }

  async forgetTag({ upstream, name }: Repository, tag: string, at: number): Promise<void> {
    const key = JSON.stringify([upstream, name, tag])
    const latest = Math.max(at, this.#forgotten.get(key)?.at ?? 0)
    this.#forgotten.set(key, { upstream, name, tag, at: latest })
  }

  async learnPlatform(
    { upstream, name }: Repository,
    platform: Platform,
    at: number,
  ): Promise<void> {
    const key = JSON.stringify([upstream, name, platform])
    const latest = Math.max(at, this.#platforms.get(key)?.at ?? 0)
    this.#platforms.set(key, { upstream, name, platform, at: latest })
  }

  async pin({ upstream, name, reference }: Pin, isPinned: boolean): Promise<void> {
    const key = JSON.stringify([upstream, name, reference])
    if (!isPinned) this.#pins.delete(key)
    else if (!this.#pins.has(key)) this.#pins.set(key, { upstream, name, reference })
  }

  async findProofs(digest: Digest): Promise<readonly Proof[]> {
    return [...this.#proofs.values()].filter((proof) => proof.digest === digest)
  }

  async *listProofs(): AsyncGenerator<Proof> {
    yield* this.#proofs.values()
  }

  async *listForgotten(): AsyncGenerator<ForgottenTag> {
    yield* this.#forgotten.values()
  }

  async *listPlatforms(): AsyncGenerator<LearnedPlatform> {
    yield* this.#platforms.values()
  }

  async keepRecipe(layer: ConvertedLayer): Promise<void> {
    this.#recipes.set(JSON.stringify(layer), layer)
  }

  async *listRecipes(): AsyncGenerator<ConvertedLayer> {
    yield* this.#recipes.values()
  }

  async *listPins(): AsyncGenerator<Pin> {
    yield* this.#pins.values()
  }
}
