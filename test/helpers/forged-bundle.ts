/** Bundles that say something else than what crossdock wrote. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { BundleDescription } from '../../src/bundle/description.ts'
import { blobPath } from '../../src/bundle/layout-files.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'

/** A bundle in a folder that somebody has changed by hand. */
export class ForgedBundle {
  readonly #folder: string
  #text: string
  conversions: Conversion[]

  constructor(folder: string, text: string) {
    this.#folder = folder
    this.#text = text
    this.conversions = (JSON.parse(text) as { conversions: Conversion[] }).conversions
  }

  static async open(folder: string): Promise<ForgedBundle> {
    return new ForgedBundle(folder, await readFile(join(folder, 'bundle.json'), 'utf8'))
  }

  async read(digest: string): Promise<string> {
    return await readFile(join(this.#folder, blobPath(digest as Digest)), 'latin1')
  }

  /** The same with everything rewritten that names it, so that the bundle fits together. */
  async plant(digest: string, change: (text: string) => string): Promise<void> {
    const forged = await this.rewrite(digest, change)
    const { manifests } = JSON.parse(this.#text) as BundleDescription
    for (const one of manifests) {
      if (!(await this.read(one.digest)).includes(digest)) continue
      await this.plant(one.digest, (text) => text.replaceAll(digest, forged))
    }
  }

  /** What the images that were made hold and their sources do not. */
  async made(): Promise<readonly string[]> {
    const { manifests, blobs } = JSON.parse(this.#text) as BundleDescription
    const sources = new Set(this.conversions.map(({ source }) => source))
    const texts = await Promise.all([...sources].map((digest) => this.read(digest)))
    const all = new Set([...manifests, ...blobs].map(({ digest }) => digest))
    return [...all].filter((one) => !sources.has(one) && !texts.join('').includes(one))
  }

  /** Puts a changed blob in the place of one, wherever the description names that. */
  async rewrite(digest: string, change: (text: string) => string): Promise<Digest> {
    const before = await this.read(digest)
    const bytes = Buffer.from(change(before), 'latin1')
    const forged = digestOf(bytes)
    expect(forged).not.toBe(digest)
    await writeFile(join(this.#folder, blobPath(forged)), bytes)
    const document = { ...JSON.parse(this.#text), conversions: this.conversions }
    const renamed = JSON.parse(
      JSON.stringify(document).replaceAll(digest, forged),
    ) as BundleDescription
    for (const list of [renamed.manifests, renamed.blobs]) {
      for (const one of list) if (one.digest === forged) Object.assign(one, { size: bytes.length })
    }
    this.#text = JSON.stringify(renamed)
    const changed = (renamed as unknown as { conversions: Conversion[] }).conversions
    for (const [i, made] of this.conversions.entries()) Object.assign(made, changed[i])
    return forged
  }

  async save(): Promise<void> {
    const document = { ...JSON.parse(this.#text), conversions: this.conversions }
    await writeFile(join(this.#folder, 'bundle.json'), JSON.stringify(document))
  }
}

export interface Conversion {
  readonly repository: { name: string }
  source: string
  target: string
  readonly layers: { target: string; diffId: string; size: number }[]
}

/** Exchanges what two rows say. */
export function swap<K extends string>(
  one: Record<K, string> | undefined,
  two: Record<K, string> | undefined,
  key: K,
): void {
  if (one === undefined || two === undefined) throw new Error(`nothing to swap the ${key} of`)
  const first = one[key]
  one[key] = two[key]
  two[key] = first
}
