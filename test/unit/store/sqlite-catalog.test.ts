import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { systemClock } from '../../../src/clock.ts'
import type { Repository } from '../../../src/oci/repository.ts'
import type { Catalog } from '../../../src/ports/catalog.ts'
import type { Link } from '../../../src/ports/links.ts'
import { openStore } from '../../../src/store/open.ts'
import { toArray } from '../../contract/blob-store.ts'
import { digest, image, layer } from '../../contract/catalog.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'

const DIGESTS = ['a', 'b', 'c'].map(digest)
const REPOSITORIES: readonly Repository[] = [
  { upstream: 'docker.io', name: 'library/alpine' },
  { upstream: 'ghcr.io', name: 'library/alpine' },
]
const repository = fc.constantFrom(...REPOSITORIES)
const digests = fc.constantFrom(...DIGESTS)
const standings = fc.constantFrom<Link['standing'][]>('named', 'proven', 'made')
const mediaTypes = fc.constantFrom(undefined, 'application/a', 'application/b')

type Act = (catalog: Catalog) => Promise<unknown>

const ACT: fc.Arbitrary<Act> = fc.oneof(
  fc.tuple(repository, fc.constantFrom('1', '2'), digests, fc.nat(9)).map(
    ([where, tag, one, checkedAt]): Act =>
      (catalog) =>
        catalog.tags.record(where, tag, { digest: one, checkedAt }),
  ),
  fc.tuple(repository, fc.constantFrom('1', '2')).map(
    ([where, tag]): Act =>
      (catalog) =>
        catalog.tags.forget(where, tag),
  ),
  fc.tuple(repository, digests, fc.nat(9), standings, mediaTypes).map(
    ([where, one, size, standing, mediaType]): Act =>
      (catalog) =>
        catalog.links.record(where, [{ digest: one, size, standing, mediaType }]),
  ),
  fc.tuple(fc.nat(2), fc.nat(2), fc.boolean(), fc.nat(2)).map(
    ([source, target, isFallback, revision]): Act =>
      (catalog) =>
        catalog.conversions.recordLayer({
          ...layer(`source ${source}`, `target ${target}`),
          revision,
          ...(isFallback && { fallback: { why: 'why', revision: 1 } }),
        }),
  ),
  fc.tuple(repository, fc.nat(2), fc.nat(2), fc.nat(9)).map(
    ([where, source, target, convertedAt]): Act =>
      (catalog) =>
        catalog.publish({
          ...image(`source ${source}`, `target ${target}`),
          repository: where,
          convertedAt,
        }),
  ),
  fc.tuple(repository, fc.nat(2)).map(
    ([where, source]): Act =>
      (catalog) =>
        catalog.conversions.forgetImage({ ...image(`source ${source}`, 'x'), repository: where }),
  ),
  fc.tuple(repository, fc.constantFrom('amd64', 'arm64'), fc.nat(9), fc.nat(9)).map(
    ([where, architecture, at, since]): Act =>
      (catalog) =>
        catalog.platforms.learn(where, { os: 'linux', architecture }, at, since),
  ),
)

it('answers every question as the plain model does, through another connection too', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(ACT, { maxLength: 25 }), async (acts) => {
      const data = await mkdtemp(join(tmpdir(), 'crossdock-store-'))
      try {
        await using writer = await openStore({ data, clock: systemClock })
        await using reader = await openStore({ data, clock: systemClock })
        const model = new MemoryCatalog()
        for (const act of acts) expect(await act(writer.catalog)).toEqual(await act(model))

        const wanted = await answers(model)
        expect(await answers(writer.catalog)).toEqual(wanted)
        expect(await answers(reader.catalog)).toEqual(wanted)
      } finally {
        await rm(data, { recursive: true, force: true })
      }
    }),
    { numRuns: 30 },
  )
})

async function answers(catalog: Catalog) {
  const targets = [0, 1, 2].map((i) => digest(`target ${i}`))
  return {
    tags: await toArray(catalog.tags.list()),
    holders: await Promise.all(DIGESTS.map((one) => catalog.links.holders(one))),
    found: await Promise.all(
      REPOSITORIES.flatMap((where) => DIGESTS.map((one) => catalog.links.find(where, one))),
    ),
    proven: await Promise.all(DIGESTS.map((one) => catalog.links.isProvenAt('docker.io', one))),
    recipes: await Promise.all(targets.map((one) => catalog.conversions.findLayerByTarget(one))),
    images: new Set(await catalog.conversions.listImages({})),
    platforms: await Promise.all(REPOSITORIES.map((where) => catalog.platforms.list(where, 5))),
  }
}
