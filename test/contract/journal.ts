/** What every Journal must do; run on each implementation. */
import { afterEach, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { ConvertedLayer } from '../../src/ports/conversions.ts'
import type { Repository } from '../../src/oci/repository.ts'
import type { Journal, ProvenLink } from '../../src/ports/journal.ts'
import { toArray } from './blob-store.ts'

export interface JournalUnderTest extends AsyncDisposable {
  readonly journal: Journal
}

const ALPINE: Repository = { upstream: 'docker.io', name: 'library/alpine' }
const BELOW: Repository = { upstream: 'docker.io', name: 'library/alpine/edge' }
const LOCAL: Repository = { upstream: '[::1]:5000', name: 'alpine' }

export function describeJournal(name: string, open: () => Promise<JournalUnderTest>): void {
  describe(`journal ${name}`, () => {
    let opened: JournalUnderTest | undefined
    const start = async () => {
      opened = await open()
      return opened.journal
    }
    afterEach(async () => {
      await opened?.[Symbol.asyncDispose]()
      opened = undefined
    })

    it('has nothing to say at first', async () => {
      const journal = await start()

      expect(await journal.findProofs(proven('a').digest)).toEqual([])
      expect(await toArray(journal.listProofs())).toEqual([])
      expect(await toArray(journal.listForgotten())).toEqual([])
      expect(await toArray(journal.listPlatforms())).toEqual([])
      expect(await toArray(journal.listPins())).toEqual([])
      expect(await toArray(journal.listRecipes())).toEqual([])
    })

    it('says what blobs are made of that no image names', async () => {
      const journal = await start()
      const recipe: ConvertedLayer = {
        kind: 'made',
        source: digestOf(Buffer.from('source')),
        ...{ encoding: 'corrections', options: {}, revision: 1 },
        ...{ target: digestOf(Buffer.from('target')), size: 300 },
        ...{ diffId: digestOf(Buffer.from('tar')), uncompressedSize: 9_000 },
        facts: { model: 'go-6' },
      }
      await journal.keepRecipe(recipe)
      await journal.keepRecipe(recipe)

      const [listed, ...again] = await toArray(journal.listRecipes())
      expect(listed).toEqual(recipe)
      for (const one of again) expect(one).toEqual(recipe)
    })

    it('says which repositories have proven or made a blob, each in its own way', async () => {
      const journal = await start()
      const config: ProvenLink = { ...proven('config'), standing: 'made', role: 'config' }
      await journal.prove(ALPINE, [proven('a'), config])
      await journal.prove(BELOW, [proven('a')])
      await journal.prove(LOCAL, [{ ...proven('a'), size: 2 ** 40 }])

      expect(sorted(await journal.findProofs(proven('a').digest))).toEqual(
        sorted([
          { ...ALPINE, ...proven('a') },
          { ...BELOW, ...proven('a') },
          { ...LOCAL, ...proven('a'), size: 2 ** 40 },
        ]),
      )
      expect(await journal.findProofs(config.digest)).toEqual([{ ...ALPINE, ...config }])
      expect(await toArray(journal.listProofs())).toHaveLength(4)
    })

    it('keeps proofs of sha512 digests', async () => {
      const journal = await start()
      const link: ProvenLink = { ...proven('a'), digest: digestOf(Buffer.from('a'), 'sha512') }
      await journal.prove(ALPINE, [link])

      expect(await toArray(journal.listProofs())).toEqual([{ ...ALPINE, ...link }])
    })

    it('says no more when a fact is told again, by several at once', async () => {
      const journal = await start()
      const tell = async () => {
        await journal.prove(ALPINE, [proven('a')])
        await journal.forgetTag(ALPINE, '3', 5)
        await journal.learnPlatform(ALPINE, { os: 'linux', architecture: 'amd64' }, 5)
        await journal.pin({ ...ALPINE, reference: '3' }, true)
      }
      await Promise.all([tell(), tell()])
      await tell()

      expect(distinct(await toArray(journal.listProofs()))).toHaveLength(1)
      expect(distinct(await toArray(journal.listForgotten()))).toHaveLength(1)
      expect(distinct(await toArray(journal.listPlatforms()))).toHaveLength(1)
      expect(await toArray(journal.listPins())).toEqual([{ ...ALPINE, reference: '3' }])
    })

    it('knows the latest time at which a tag was forgotten', async () => {
      const journal = await start()
      await journal.forgetTag(ALPINE, 'Latest_1.0', 7)
      await journal.forgetTag(ALPINE, 'Latest_1.0', 5)
      await journal.forgetTag(BELOW, 'latest_1.0', 9)

      const found = await toArray(journal.listForgotten())
      const latest = (tag: string) =>
        Math.max(...found.filter((one) => one.tag === tag).map(({ at }) => at))
      expect([latest('Latest_1.0'), latest('latest_1.0')]).toEqual([7, 9])
    })

    it('knows platforms with all their parts, and when they were used last', async () => {
      const journal = await start()
      const amd64 = { os: 'linux', architecture: 'amd64' }
      const windows = { os: 'windows', architecture: 'amd64', osVersion: '10.0.20348.2227' }
      const armv7 = { os: 'linux', architecture: 'arm', variant: 'v7' }
      for (const one of [amd64, windows, armv7]) await journal.learnPlatform(ALPINE, one, 5)
      await journal.learnPlatform(ALPINE, amd64, 9)
      await journal.learnPlatform(ALPINE, amd64, 8)
      await journal.learnPlatform(LOCAL, amd64, 3)

      const found = await toArray(journal.listPlatforms())
      const latest = (repository: Repository, platform: object) =>
        found
          .filter((one) => one.name === repository.name && isSame(one.platform, platform))
          .reduce((most, { at = 0 }) => Math.max(most, at), 0)
      expect([amd64, windows, armv7].map((one) => latest(ALPINE, one))).toEqual([9, 5, 5])
      expect(latest(LOCAL, amd64)).toBe(3)
    })

    it('lists what is pinned in order, and no more what was let go', async () => {
      const journal = await start()
      const pins = ['b', 'a', 'c'].map((reference) => ({ ...ALPINE, reference }))
      for (const pin of pins) await journal.pin(pin, true)
      await journal.pin({ ...ALPINE, reference: 'a' }, false)
      await journal.pin({ ...BELOW, reference: 'a' }, false)

      expect(await toArray(journal.listPins())).toEqual([pins[0], pins[2]])
    })
  })
}

function proven(text: string): ProvenLink {
  return { digest: digestOf(Buffer.from(text)), size: text.length, standing: 'proven' }
}

function sorted(facts: readonly object[]): string[] {
  return facts.map((fact) => canonical(fact)).sort()
}

function distinct(facts: readonly object[]): string[] {
  return [...new Set(sorted(facts))]
}

function isSame(a: object, b: object): boolean {
  return canonical(a) === canonical(b)
}

function canonical(fact: object): string {
  return JSON.stringify(Object.entries(fact).sort(([a], [b]) => (a < b ? -1 : 1)))
}
