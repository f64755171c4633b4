/** SOCI images as they are served: each index, each ztoc and the image itself before their oracles. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { type Descriptor, readManifest } from '../helpers/fixtures-registry.ts'
import { blobPath } from '../helpers/fixtures-store.ts'
import { askOracle, expectSameImage, expectSoundImage } from '../helpers/oracles.ts'

const PLATFORM = 'linux/amd64'
const LAYER_DIGEST = 'com.amazon.soci.image-layer-digest'

let crossdock: Crossdock
let folder: string

/** Judges the SOCI index of an image and its ztocs; returns how many those are. */
async function judge(repository: string, tag: string): Promise<number> {
  const answer = await readManifest(`${crossdock.host}/${repository}:${tag}`)
  expect(answer.status, answer.bytes.toString()).toBe(200)
  const { manifests } = JSON.parse(answer.bytes.toString()) as { manifests: Descriptor[] }
  const listed = manifests.at(-1)
  expect(listed).toMatchObject({ artifactType: 'application/vnd.amazon.soci.index.v2+json' })
  const index = await readManifest(`${crossdock.host}/${repository}@${listed?.digest}`)
  const [indexPath, descriptor] = [join(folder, 'index.json'), join(folder, 'descriptor.json')]
  await writeFile(indexPath, index.bytes)
  await askOracle('oracle-soci', ['index', indexPath])
  const { layers } = JSON.parse(index.bytes.toString()) as { layers: Descriptor[] }
  for (const ztoc of layers) {
    await writeFile(descriptor, JSON.stringify(ztoc))
    const layer = blobPath(crossdock.data, ztoc.annotations?.[LAYER_DIGEST] ?? '')
    const paths = ['--layer', layer, '--ztoc', blobPath(crossdock.data, ztoc.digest)]
    await askOracle('oracle-soci', ['check', ...paths, '--descriptor', descriptor])
  }
  return layers.length
}

describeWith(['registry', 'oracles'], 'SOCI images before their oracles', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-soci-images-'))
    const all = { format: 'soci', minLayerSize: 0 }
    crossdock = await startCrossdock({ config: { profiles: { 'soci-all': all } } })
  })
  afterAll(async () => {
    await crossdock[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const images: readonly [repository: string, tag: string, ztocs: number][] = [
    ['debian', '12-soci', 1],
    ['node-app', '1-soci', 6],
    ['node-app', '1-soci-all', 11],
    ['tricky', '1-soci-all', 26],
    ['mixed', '1-soci-all', 3],
    ['legacy', 'single-soci-all', 2],
  ]
  for (const [repository, tag, ztocs] of images) {
    test(`${repository}:${tag} has ${ztocs} ztocs`, async () => {
      expect(await judge(repository, tag)).toBe(ztocs)
      const source = `${REGISTRY}/${repository}:${tag.replace(/-.*/, '')}`
      const target = `${crossdock.host}/${repository}:${tag}`
      await expectSameImage(source, target, { platform: PLATFORM })
      await expectSoundImage(target, '--platform', PLATFORM, '--fast')
    })
  }

  test('an image without a layer that is large enough is the original, and says so', async () => {
    const source = await readManifest(`${REGISTRY}/mixed:1`)
    const answer = await readManifest(`${crossdock.host}/mixed:1-soci`)
    expect(answer.bytes.equals(source.bytes)).toBe(true)
  })
})
