/**
 * The journal as objects. A proof is nothing but a key, so that a listing says a thousand of them; facts with a time, and pins, are
 * small documents.
 */
import { atOnce } from '../../lib/at-once.ts'
import { isObject } from '../../lib/shapes.ts'
import type { Digest } from '../../oci/digest.ts'
import type { Platform } from '../../oci/manifest.ts'
import type { Repository } from '../../oci/repository.ts'
import { type ConvertedLayer, isMade } from '../../ports/conversions.ts'
import type {
  ForgottenTag,
  Journal,
  LearnedPlatform,
  Proof,
  ProvenLink,
} from '../../ports/journal.ts'
import { isSamePin, type Pin } from '../../ports/pins.ts'
import { isRecordedLayer, layerOf, recordedLayer } from '../../recorded.ts'
import { isForgottenTag, isPinLine, isPlatformLine } from '../sound-records.ts'
import { parseSummedJson, summedJson } from '../summed-json.ts'
import {
  FORGOTTEN,
  factKey,
  PINS,
  PLATFORMS,
  PROOFS,
  RECIPES,
  proofIn,
  proofKey,
  proofsUnder,
} from './keys.ts'
import type { Objects } from './objects.ts'
import type { Document, Swaps } from './swaps.ts'

/** Asked or told at the same time. */
const AT_ONCE = 32

interface Dated {
  readonly at?: number
}

export class S3Journal implements Journal {
  readonly #objects: Objects
  readonly #swaps: Swaps

  constructor(objects: Objects, swaps: Swaps) {
    this.#objects = objects
    this.#swaps = swaps
  }

  async prove({ upstream, name }: Repository, links: readonly ProvenLink[]): Promise<void> {
    const tell = async ({ digest, size, standing, role }: ProvenLink) => {
      const proof = { upstream, name, digest, size, standing, ...(role && { role }) }
      await this.#objects.put(proofKey(proof), '', { kind: 'none' })
      return proof
    }
    for await (const _ of atOnce(each(links), AT_ONCE, tell));
  }

  async forgetTag({ upstream, name }: Repository, tag: string, at: number): Promise<void> {
    const key = factKey(FORGOTTEN, upstream, name, tag)
    await this.#raise(document(key, isForgottenTag), { upstream, name, tag, at })
  }

  async learnPlatform(
    { upstream, name }: Repository,
    platform: Platform,
    at: number,
  ): Promise<void> {
    const { os, architecture, variant = '', osVersion = '' } = platform
    const key = factKey(PLATFORMS, upstream, name, os, architecture, variant, osVersion)
    await this.#raise(document(key, isPlatformLine), { upstream, name, platform, at })
  }

  async pin({ upstream, name, reference }: Pin, isPinned: boolean): Promise<void> {
    const pin = { upstream, name, reference }
    await this.#swaps.update(PIN_LIST, (pins = []) => {
      const isThere = pins.some((one) => isSamePin(one, pin))
      if (isThere === isPinned) return pins
      return isPinned ? [...pins, pin] : pins.filter((one) => !isSamePin(one, pin))
    })
  }

  async keepRecipe(layer: ConvertedLayer): Promise<void> {
    const text = summedJson(recordedLayer(layer))
    const { source, encoding, options, revision } = recordedLayer(layer)
    const key = factKey(RECIPES, source, encoding, options, String(revision))
    await this.#objects.put(key, text, { kind: 'none' })
  }

  async findProofs(digest: Digest): Promise<readonly Proof[]> {
    const proofs: Proof[] = []
    for await (const proof of this.#proofs(proofsUnder(digest))) proofs.push(proof)
    return proofs
  }

  listProofs(): AsyncGenerator<Proof> {
    return this.#proofs(PROOFS)
  }

  listForgotten(): AsyncGenerator<ForgottenTag> {
    return this.#facts(FORGOTTEN, isForgottenTag)
  }

  listPlatforms(): AsyncGenerator<LearnedPlatform> {
    return this.#facts(PLATFORMS, isPlatformLine)
  }

  async *listRecipes(): AsyncGenerator<ConvertedLayer> {
    for await (const recipe of this.#facts(RECIPES, isRecordedLayer)) {
      const layer = layerOf(recipe)
      if (layer !== undefined && isMade(layer)) yield layer
    }
  }

  async *listPins(): AsyncGenerator<Pin> {
    yield* (await this.#swaps.read(PIN_LIST)) ?? []
  }

  async *#proofs(under: string): AsyncGenerator<Proof> {
    for await (const { key } of this.#objects.list(under)) {
      const proof = proofIn(key)
      if (proof !== undefined) yield proof
    }
  }

  async *#facts<T extends object>(
    under: string,
    is: (value: unknown) => value is T,
  ): AsyncGenerator<T> {
    yield* atOnce(this.#objects.list(under), AT_ONCE, ({ key }) =>
      this.#swaps.read(document(key, is)),
    )
  }

  /** The latest time counts, whoever writes last. */
  async #raise<T extends Dated>(fact: Document<T>, told: T): Promise<void> {
    await this.#swaps.update(fact, (known) =>
      known !== undefined && (known.at ?? 0) >= (told.at ?? 0) ? known : told,
    )
  }
}

const PIN_LIST: Document<readonly Pin[]> = {
  key: PINS,
  parse(text) {
    const found = parseSummedJson(text)
    if (!isObject(found) || !Array.isArray(found.pins)) return undefined
    return found.pins
      .map((pin) => ({ ...pin, isPinned: true }))
      .filter(isPinLine)
      .map(plain)
  },
  format: (pins) => summedJson({ pins }),
}

function plain({ upstream, name, reference }: Pin): Pin {
  return { upstream, name, reference }
}

function document<T extends object>(key: string, is: (value: unknown) => value is T): Document<T> {
  return {
    key,
    parse(text) {
      const found = parseSummedJson(text)
      return is(found) ? found : undefined
    },
    format: (value) => summedJson(value),
  }
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}
