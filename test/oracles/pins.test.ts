/** Digests keep their promise: what a digest once named is what it names after restarts and losses. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { digestOf, readBlob, readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { blobPath } from '../helpers/fixtures-store.ts'

describeWith(['registry'], 'pins', () => {
  for (const profile of ['zstd', 'none']) {
    test(`@source and @converted of debian:12-${profile}, after a restart and after losing a blob`, async () => {
      const data = await mkdtemp(join(tmpdir(), 'crossdock-data-'))
      try {
        const source = await readManifest(`${REGISTRY}/debian:12`)
        const before = await withCrossdock(data, async (crossdock) => {
          const index = await readManifest(`${crossdock.host}/debian:12-${profile}`)
          const image = await readImage(`${crossdock.host}/debian:12-${profile}`)
          expect(index.digest).not.toBe(source.digest)
          return { index, image, layer: image.document.layers?.[0]?.digest ?? '' }
        })

        await withCrossdock(data, async (crossdock) => {
          const at = (digest: string) => readManifest(`${crossdock.host}/debian@${digest}`)
          expect((await at(source.digest)).digest).toBe(source.digest)
          expect((await at(before.index.digest)).bytes.equals(before.index.bytes)).toBe(true)
          expect((await at(before.image.digest)).bytes.equals(before.image.bytes)).toBe(true)

          await rm(blobPath(data, before.layer))
          const head = await readBlob(`${crossdock.host}/debian:12`, before.layer, {
            method: 'HEAD',
          })
          expect(head.status).toBe(200)
          expect(Number(head.headers.get('content-length'))).toBe(
            before.image.document.layers?.[0]?.size,
          )
          expect(await digestOfBlob(crossdock, before.layer)).toBe(before.layer)
        })

        await rm(blobPath(data, before.layer))
        await withCrossdock(data, async (crossdock) => {
          expect(await digestOfBlob(crossdock, before.layer)).toBe(before.layer)
          const result = await pullImage(`${crossdock.host}/debian:12-${profile}`)
          expect(result.outcome, result.reason).toBe('pulled')
        })
      } finally {
        await rm(data, { recursive: true, force: true })
      }
    })
  }

  test('every index and manifest that a HEAD names can be had by its digest', async () => {
    await using crossdock = await startCrossdock()
    for (const tag of ['12', '12-zstd', '12-none', '12-gzip']) {
      const head = await readManifest(`${crossdock.host}/debian:${tag}`, { method: 'HEAD' })
      const digest = head.headers.get('docker-content-digest') ?? ''
      const answer = await readManifest(`${crossdock.host}/debian@${digest}`)
      expect(answer.digest).toBe(digest)
      expect(head.headers.get('content-length')).toBe(String(answer.bytes.length))
      expect(head.headers.get('content-type')).toBe(answer.headers.get('content-type'))
    }
  })
})

async function withCrossdock<T>(
  data: string,
  body: (crossdock: Crossdock) => Promise<T>,
): Promise<T> {
  await using crossdock = await startCrossdock({ data })
  const result = await body(crossdock)
  expect(await crossdock.stop()).toBe(0)
  return result
}

async function digestOfBlob(crossdock: Crossdock, digest: string): Promise<string> {
  const response = await readBlob(`${crossdock.host}/debian:12`, digest)
  expect(response.status).toBe(200)
  return digestOf(Buffer.from(await response.arrayBuffer()))
}
