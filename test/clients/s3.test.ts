/** A real client in front of a server whose store lies on S3: every form, also after the data folder is lost. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forget, pull } from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { expectSoundImage } from '../helpers/oracles.ts'
import { S3_CREDENTIALS, type S3Server, startS3 } from '../helpers/s3-server.ts'
import { blobsText, hasS3, makeBucket } from '../helpers/s3-store.ts'

/** Four conversions and eight pulls, on a machine that may have much else to do. */
const PATIENCE_MS = 900_000

const FORMS = ['', '-zstd', '-estargz', '-zstdchunked']

describeWith(['registry', 'oracles'], 'a store on S3', () => {
  let folder: string
  let s3: S3Server
  let crossdock: Crossdock

  const start = () =>
    startCrossdock({
      config: { store: { blobs: blobsText(placeOn(s3)) } },
      data: join(folder, 'data'),
      env: S3_CREDENTIALS,
    })

  beforeAll(async () => {
    if (!hasS3) return
    Object.assign(process.env, S3_CREDENTIALS)
    folder = await mkdtemp(join(tmpdir(), 'crossdock-s3-clients-'))
    s3 = await startS3(join(folder, 's3'))
    await makeBucket(placeOn(s3))
    crossdock = await start()
  })

  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await s3?.[Symbol.asyncDispose]()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  test.skipIf(!hasS3)(
    'serves skopeo every form, the same without its data folder',
    { timeout: PATIENCE_MS },
    async () => {
      const digests: string[] = []
      for (const form of FORMS) {
        const image = `${crossdock.host}/debian:12${form}`
        await forget('skopeo')
        await pull('skopeo', image)
        await expectSoundImage(image)
        digests.push((await readManifest(image)).digest)
      }
      await crossdock[Symbol.asyncDispose]()
      await rm(join(folder, 'data'), { recursive: true })
      crossdock = await start()

      for (const [i, form] of FORMS.entries()) {
        const image = `${crossdock.host}/debian:12${form}`
        await forget('skopeo')
        await pull('skopeo', image)
        expect((await readManifest(image)).digest).toBe(digests[i])
      }
    },
  )
})

function placeOn({ url }: S3Server) {
  return { bucket: 'clients', prefix: 'store', endpoint: url, forcePathStyle: true }
}
