/** Every real client in front of a server that sends those who follow to S3: all get their image, most of them from there. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CLIENTS, forget, pull, startClient } from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith } from '../helpers/fixtures.ts'
import { S3_CREDENTIALS, type S3Server, startS3 } from '../helpers/s3-server.ts'
import { blobsText, hasS3, makeBucket } from '../helpers/s3-store.ts'

const PATIENCE_MS = 600_000

/** To an address that is no name go-containerregistry is not sent. */
const BY_BYTES = new Set(['crane'])

describeWith(['registry', 'clients', 'containerd'], 'redirects to S3', () => {
  let folder: string
  let s3: S3Server
  let crossdock: Crossdock

  beforeAll(async () => {
    if (!hasS3) return
    Object.assign(process.env, S3_CREDENTIALS)
    folder = await mkdtemp(join(tmpdir(), 'crossdock-redirects-'))
    s3 = await startS3(join(folder, 's3'))
    const place = { bucket: 'clients', prefix: '', endpoint: s3.url, forcePathStyle: true }
    await makeBucket(place)
    crossdock = await startCrossdock({
      config: { store: { blobs: blobsText(place), redirect: true } },
      env: S3_CREDENTIALS,
    })
    // In the store before the first of them comes.
    await forget('skopeo')
    await pull('skopeo', `${crossdock.host}/debian:12`)
  })

  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await s3?.[Symbol.asyncDispose]()
    if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  })

  describe.skipIf(!hasS3)('a warm image', () => {
    for (const { name, title } of CLIENTS) {
      test(`${title} ${BY_BYTES.has(name) ? 'gets bytes' : 'follows'}`, {
        timeout: PATIENCE_MS,
      }, async () => {
        await startClient(name)
        await forget(name)
        const before = crossdock.requests().length
        await pull(name, `${crossdock.host}/debian:12`)

        const blobs = crossdock.requests().slice(before)
        const answers = blobs.filter(({ route, method }) => route === 'blob' && method === 'GET')
        const seen = new Set(answers.map(({ status }) => status))
        // What is not stored yet, and what a busy S3 does not speak of in time, comes as bytes to followers, too.
        if (BY_BYTES.has(name)) expect(seen).toEqual(new Set([200]))
        else expect(seen).toContain(307)
      })
    }
  })
})
