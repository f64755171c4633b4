/** A server whose blobs, sidecars and journal lie on S3: what it keeps, and what becomes of pullers when S3 or the server dies. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import type { S3Place } from '../../src/store/s3/place.ts'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask } from '../helpers/faults-http.ts'
import { TestProxy } from '../helpers/faults-proxy.ts'
import { type PulledImage, pull, RefusedError } from '../helpers/faults-puller.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { blobsText, digestsOnS3, freshPlace, hasS3 } from '../helpers/s3-store.ts'
import { type S3Fault, S3Wire, type SeenRequest } from '../helpers/s3-wire.ts'

const FORMS = ['1', '1-zstd', '1-estargz', '1-zstdchunked']
const BIG = 12 * 1024 * 1024

let origin: FakeRegistry
let wire: S3Wire
let place: S3Place

beforeAll(async () => {
  origin = await FakeRegistry.start()
})

beforeEach(async () => {
  if (!hasS3) return
  const direct = await freshPlace()
  wire = await S3Wire.start(direct.endpoint ?? '')
  place = { ...direct, endpoint: wire.url }
})

afterEach(async () => {
  origin.clearFaults()
  await wire?.[Symbol.asyncDispose]()
})

afterAll(() => origin?.[Symbol.asyncDispose]())

function configFor(more: Readonly<Record<string, unknown>> = {}) {
  return { store: { blobs: blobsText(place), ...more }, cache: { tagWindow: '1d' } }
}

async function startOnS3(config: Readonly<Record<string, unknown>> = {}): Promise<TestProxy> {
  return await TestProxy.start({
    registry: origin,
    config: { ...configFor(), ...config },
    env: S3_CREDENTIALS,
  })
}

describe.skipIf(!hasS3)('a store on S3', () => {
  test('outlives the data folder: the same answers, and no blob is fetched again', async () => {
    const image = await origin.pushImage('s3/app', '1', { layers: [{ size: 400_000 }, {}] })
    await using proxy = await startOnS3()
    const before: object[] = []
    for (const form of FORMS) before.push(bytesOf(await pull(proxy.base, 's3/app', form)))
    await proxy.stop()
    await rm(proxy.data, { recursive: true })
    const asked = origin.requests.length

    await proxy.start()

    for (const [i, form] of FORMS.entries()) {
      expect(bytesOf(await pull(proxy.base, 's3/app', form))).toEqual(before[i])
    }
    expect(bytesOf(await pull(proxy.base, 's3/app', image.digest))).toEqual(before[0])
    const again = origin.requests.slice(asked)
    expect(again.filter(({ kind }) => kind === 'blob')).toEqual([])
    const isManifest = { kind: 'manifest', reference: image.digest }
    expect(again).not.toContainEqual(expect.objectContaining(isManifest))
    await expectSoundBlobs()
  })

  test('makes an evicted layer again with the same digest', async () => {
    await origin.pushImage('s3/evicted', '1', { layers: [{ size: 400_000 }] })
    await using proxy = await startOnS3()
    const { layers } = await pull(proxy.base, 's3/evicted', '1-zstd')
    const layer = layers[0]?.digest ?? ''
    await proxy.stop()
    const stored = await digestsOnS3(place, 'blobs/')
    const small = { cache: { tagWindow: '1d', maxSize: 1, lease: '0s' } }
    await proxy.start(small)
    await expect.poll(() => isOnS3(layer), { timeout: 30_000 }).toBe(false)

    const again = await ask(`${proxy.base}/s3/evicted/blobs/${layer}`)

    expect(digestOf(again.bytes)).toBe(layer)
    expect(stored.size).toBeGreaterThan(2)
  })

  test('answers what was used last without S3, and ranges of it, too', async () => {
    await origin.pushImage('s3/warm', '1', { layers: [{ size: 400_000 }] })
    await using proxy = await startOnS3()
    const { layers } = await pull(proxy.base, 's3/warm', '1-zstd')
    const layer = layers[0]?.digest ?? ''
    await ask(`${proxy.base}/s3/warm/blobs/${layer}`)
    const asked = wire.count('GET', '/blobs/') + wire.count('HEAD', '/blobs/')

    for (let i = 0; i < 10; i += 1) {
      const headers = { range: `bytes=${i * 100}-${i * 100 + 50}` }
      expect((await ask(`${proxy.base}/s3/warm/blobs/${layer}`, { headers })).status).toBe(206)
    }
    await pull(proxy.base, 's3/warm', '1-zstd')

    expect(wire.count('GET', '/blobs/') + wire.count('HEAD', '/blobs/')).toBe(asked)
  })

  test('has one server at a time, and says so to a second one', async () => {
    await using proxy = await startOnS3()
    const second = startCrossdock({ config: configFor(), env: S3_CREDENTIALS })

    await expect(second).rejects.toThrow(/another crossdock server, on .*, already uses s3:/)
    // The same data folder after a crash waits for nothing.
    await proxy.restart('SIGKILL')
    expect((await ask(`${proxy.crossdock.url}/healthz`)).status).toBe(200)
  })

  test('is checked before it is served: credentials, bucket and what else is wrong', async () => {
    const start = (env: Readonly<Record<string, string>>, blobs: string) =>
      startCrossdock({ config: { store: { blobs } }, env: { ...S3_CREDENTIALS, ...env } })
    const right = blobsText(place)

    await expect(start({ AWS_SECRET_ACCESS_KEY: 'wrong' }, right)).rejects.toThrow(
      /access denied; check AWS_ACCESS_KEY_ID/,
    )
    await expect(start({}, right.replace(place.bucket, 'no-such-bucket'))).rejects.toThrow(
      /there is no such bucket; make it/,
    )
    await expect(start({}, right.replace(wire.url, 'http://127.0.0.1:1'))).rejects.toThrow(
      /cannot be reached; check that it runs/,
    )
  })

  test('is seen by commands beside the server', async () => {
    await origin.pushImage('s3/listed', '1')
    await using proxy = await startOnS3()
    await pull(proxy.base, 's3/listed', '1-zstd')
    const run = async (...args: string[]) =>
      await runCommand(
        process.execPath,
        [
          join(ROOT, 'src/main.ts'),
          ...args,
          '--config',
          proxy.crossdock.configFile,
          '--data',
          proxy.data,
        ],
        { env: S3_CREDENTIALS },
      )

    expect((await run('list')).stdout).toContain('s3/listed')
    expect((await run('verify')).status).toBe(0)
  })
})

/** A request of the upload of a blob or of what is written after it. */
const STEPS: readonly (readonly [string, (request: SeenRequest) => boolean])[] = [
  ['the look whether it is there', ({ method, path }) => method === 'HEAD' && isBlob(path)],
  ['a small blob', ({ method, path, query }) => isPut(method, path) && !query.has('partNumber')],
  ['the beginning of parts', ({ method, query }) => method === 'POST' && query.has('uploads')],
  ['a part', ({ query }) => query.get('partNumber') === '1'],
  ['the end of parts', ({ method, query }) => method === 'POST' && query.has('uploadId')],
  ['a proof', ({ method, path }) => method === 'PUT' && path.includes('/proofs/')],
  ['a sidecar', ({ method, path }) => method === 'PUT' && path.includes('/sidecars/')],
]

describe.skipIf(!hasS3)('a server that is killed', () => {
  test.each(STEPS)(
    'at %s leaves no blob that is not whole, and the next one serves',
    async (_, isStep) => {
      await origin.pushImage('s3/killed', '1', { layers: [{ size: BIG * 2 }, { size: 1_000 }] })
      await using proxy = await startOnS3()
      const held = new Promise<void>((resolve) => {
        wire.onHeld = resolve
      })
      wire.fault = (request) => (isStep(request) ? { kind: 'hold' } : undefined)
      const pulling = pull(proxy.base, 's3/killed', '1-zstd').catch((error: unknown) => error)
      await held
      await proxy.stop('SIGKILL')
      await pulling
      wire.fault = () => undefined

      await expectSoundBlobs()
      await proxy.start()
      await pull(proxy.base, 's3/killed', '1-zstd')
      await expectSoundBlobs()
    },
  )
})

const TROUBLES: readonly (readonly [string, S3Fault, number])[] = [
  ['is busy now and then', { kind: 'status', status: 503, code: 'SlowDown' }, 0.2],
  ['fails always', { kind: 'status', status: 500, code: 'InternalError' }, 1],
  ['resets connections now and then', { kind: 'reset' }, 0.2],
  ['is slow', { kind: 'delay', ms: 300 }, 1],
  ['cuts answers', { kind: 'cut', after: 100_000 }, 0.5],
  ['sends wrong bytes', { kind: 'flip', at: 50_000 }, 1],
]

describe.skipIf(!hasS3)('S3 that', () => {
  test.each(TROUBLES)(
    '%s costs no wrong byte: pullers are served or told, and all is well again after it',
    async (_, fault, part) => {
      const names = ['a', 'b', 'c'].map((name) => `s3/trouble-${name}`)
      for (const name of names) await origin.pushImage(name, '1', { layers: [{ size: 300_000 }] })
      await using proxy = await startOnS3({ store: { blobs: blobsText(place), localCache: 1 } })
      const known = bytesOf(await pull(proxy.base, names[0] ?? '', '1-zstd'))
      let turn = 0
      wire.fault = () => {
        turn += part
        if (turn < 1) return undefined
        turn -= 1
        return fault
      }

      const outcomes = await Promise.all(
        names.map((name) =>
          pull(proxy.base, name, '1-zstd').then(
            () => 'served',
            (error: unknown) => (error instanceof RefusedError ? 'told' : nameOf(error)),
          ),
        ),
      )
      for (const outcome of outcomes) expect(['served', 'told', 'cut']).toContain(outcome)

      wire.fault = () => undefined
      for (const name of names) await pull(proxy.base, name, '1-zstd')
      expect(bytesOf(await pull(proxy.base, names[0] ?? '', '1-zstd'))).toEqual(known)
      await expectSoundBlobs()
    },
  )

  test('is away lets what was used last be served', async () => {
    await origin.pushImage('s3/away', '1', { layers: [{ size: 300_000 }] })
    await using proxy = await startOnS3()
    const before = bytesOf(await pull(proxy.base, 's3/away', '1-zstd'))
    wire.fault = () => ({ kind: 'reset' })

    expect(bytesOf(await pull(proxy.base, 's3/away', '1-zstd'))).toEqual(before)
  })
})

describe.skipIf(!hasS3)('a server whose S3 is silent', () => {
  test.each([{ isBusy: false }, { isBusy: true }])(
    'ends within its grace (busy: $isBusy)',
    async ({ isBusy }) => {
      const shutdownGrace = 5_000
      await origin.pushImage('s3/warm', '1')
      await origin.pushImage('s3/late', '1', { layers: [{ size: 3_000_000 }] })
      await using proxy = await startOnS3({ shutdownGrace: `${shutdownGrace}ms` })
      await pull(proxy.base, 's3/warm', '1')
      // Until the mark of the server is to be renewed.
      const asked = Promise.withResolvers<void>()
      wire.fault = ({ path }) => {
        if (path.endsWith('server.json')) asked.resolve()
        return { kind: 'delay', ms: 120_000 }
      }
      const pulling = isBusy ? pull(proxy.base, 's3/late', '1').catch(() => undefined) : undefined
      await asked.promise

      const began = performance.now()
      expect(await proxy.crossdock.stop()).toBe(0)

      expect(performance.now() - began).toBeLessThan(shutdownGrace)
      await pulling
    },
  )
})

/** A connection that ends early is no answer, and no puller takes it for one. */
function nameOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return /ended early|aborted|ECONNRESET|socket hang up|cut/.test(text) ? 'cut' : text
}

/** Without how it came about. */
function bytesOf({ conversion: _, ...image }: PulledImage): object {
  return image
}

async function expectSoundBlobs(): Promise<void> {
  for (const [key, digest] of await digestsOnS3(place, 'blobs/')) {
    expect(key).toBe(`blobs/${digest.replace(':', '/')}`)
  }
}

async function isOnS3(digest: string): Promise<boolean> {
  return (await digestsOnS3(place, `blobs/${digest.replace(':', '/')}`)).size > 0
}

function isBlob(path: string): boolean {
  return path.includes('/blobs/sha256/')
}

function isPut(method: string, path: string): boolean {
  return method === 'PUT' && isBlob(path)
}
