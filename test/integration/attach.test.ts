/** Profiles that stand by for originals: digests are kept, and referrers tell of what was converted behind. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { type FakeImage, fakeImage } from '../helpers/fake-image.ts'
import { ask } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { removeBlob } from '../helpers/stored.ts'

const INDEX = 'application/vnd.oci.image.index.v1+json'
const NYDUS = 'application/vnd.nydus.image.manifest.v1+json'
const SOCI = 'application/vnd.amazon.soci.index.v1+json'
const SBOM = 'application/vnd.example.sbom'

interface Listed {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType: string
}

let proxy: TestProxy
let image: FakeImage

/** As nodes do: on a machine that has much to do, a conversion may take longer than a list is held. */
async function askAgain(url: string) {
  for (;;) {
    const answer = await ask(url)
    if (answer.status !== 503) return answer
    expect(answer.headers['retry-after']).toBe('2')
  }
}

async function referrers(of: string, query = '', name = 'lazy/app') {
  const answer = await askAgain(`${proxy.base}/${name}/referrers/${of}${query}`)
  expect(answer.status, answer.bytes.toString()).toBe(200)
  const { manifests } = JSON.parse(answer.bytes.toString()) as { manifests: Listed[] }
  return { answer, manifests, types: manifests.map(({ artifactType }) => artifactType) }
}

async function manifestOf({ digest, size }: Listed) {
  const answer = await ask(`${proxy.base}/lazy/app/manifests/${digest}`)
  expect(answer.status, answer.bytes.toString()).toBe(200)
  expect(digestOf(answer.bytes)).toBe(digest)
  expect(answer.bytes.byteLength).toBe(size)
  return JSON.parse(answer.bytes.toString())
}

beforeAll(async () => {
  const config = {
    profiles: { soci: { format: 'soci', minLayerSize: 0 } },
    rules: [{ match: '*/lazy/*', attach: ['soci', 'nydus'] }],
  }
  proxy = await TestProxy.start({ config })
  image = await proxy.registry.pushImage('lazy/app', '1', { layers: 2 })
  const { mediaType, digest, bytes } = image
  const subject = { mediaType, digest, size: bytes.byteLength }
  const sbom = await fakeImage({ manifest: { subject, artifactType: SBOM } })
  proxy.registry.push('lazy/app', undefined, sbom)
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
})

describe('a rule that attaches profiles', () => {
  test('leaves the image as it is', async () => {
    const answer = await ask(`${proxy.base}/lazy/app/manifests/1`)
    expect(digestOf(answer.bytes)).toBe(image.digest)
    expect(answer.headers['crossdock-conversion']).toBeUndefined()
  })

  test('lists what was converted before what upstream has, a nydus image first', async () => {
    const { answer, types } = await referrers(image.digest)
    expect(types).toEqual([NYDUS, SOCI, SBOM])
    expect(answer.headers['content-type']).toBe(INDEX)
  })

  test('lists one type alone where one is asked for', async () => {
    const { answer, types } = await referrers(image.digest, `?artifactType=${SOCI}`)
    expect(types).toEqual([SOCI])
    expect(answer.headers['oci-filters-applied']).toBe('artifactType')
    expect((await referrers(image.digest, `?artifactType=${SBOM}`)).types).toEqual([SBOM])
    const encoded = `?artifactType=${encodeURIComponent(SOCI)}`
    expect((await referrers(image.digest, encoded)).types).toEqual([SOCI])
  })

  test('gives a SOCI index of version 1 whose subject is the image', async () => {
    const { manifests } = await referrers(image.digest, `?artifactType=${SOCI}`)
    const index = await manifestOf(manifests[0] as Listed)
    expect(index).not.toHaveProperty('artifactType')
    expect(index).toMatchObject({
      config: { mediaType: SOCI },
      subject: { mediaType: image.mediaType, digest: image.digest, size: image.bytes.byteLength },
    })
    for (const { digest, size } of [index.config, ...index.layers]) {
      const blob = await ask(`${proxy.base}/lazy/app/blobs/${digest}`)
      expect(blob.bytes.byteLength).toBe(size)
    }
  })

  test('gives the very nydus image that its name gives', async () => {
    const { manifests } = await referrers(image.digest, `?artifactType=${NYDUS}`)
    const named = await ask(`${proxy.base}/lazy/app/manifests/1-nydus`)
    expect(manifests[0]?.digest).toBe(digestOf(named.bytes))
    expect((await manifestOf(manifests[0] as Listed)).layers.at(-1).annotations).toMatchObject({
      'containerd.io/snapshot/nydus-bootstrap': 'true',
    })
  })

  test('brings its index with it, which lists no SOCI index of version 1', async () => {
    const answer = await ask(`${proxy.base}/lazy/app/manifests/1-soci`)
    const { manifests } = JSON.parse(answer.bytes.toString()) as { manifests: Listed[] }
    expect(manifests).toHaveLength(2)
    const index = await manifestOf(manifests[1] as Listed)
    expect(index.config.mediaType).toBe('application/vnd.amazon.soci.index.v2+json')
  })

  test('says nothing of an image that has no such form, nor of what it made itself', async () => {
    const name = 'lazy/zstd'
    const other = await proxy.registry.pushImage(name, '1', { compression: 'zstd' })
    const { types } = await referrers(other.digest, `?artifactType=${SOCI}`, name)
    expect(types).toEqual([])
    const { manifests } = await referrers(image.digest)
    expect((await referrers(manifests[0]?.digest ?? '')).types).toEqual([])
  })

  test('says nothing where no rule matches', async () => {
    const other = await proxy.registry.pushImage('app', '1')
    expect((await referrers(other.digest, '', 'app')).types).toEqual([])
  })

  test('makes again what was evicted, to the same digest', async () => {
    const before = (await referrers(image.digest)).manifests
    await proxy.stop()
    for (const { digest } of before.slice(0, 2)) await removeBlob(proxy.data, digest)
    await proxy.start()
    for (const one of before.slice(0, 2)) await manifestOf(one)
    expect((await referrers(image.digest)).manifests).toEqual(before)
  })
})
