/**
 * One of several servers stands still at each step of a download and of a conversion until its leases have ended, others take over, and
 * it wakes up: nobody gets a wrong byte, who was served once is served again, nothing is remembered by halves.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FakeImage } from '../helpers/fake-image.ts'
import { pull, RefusedError } from '../helpers/faults-puller.ts'
import { Dice, roundsOf, seedOf } from '../helpers/faults-seed.ts'
import { ROOT } from '../helpers/fixtures.ts'
import { runCommand } from '../helpers/fixtures-command.ts'
import { bytesOf } from '../helpers/pulling-crowd.ts'
import { hasSharedPair, Replicas } from '../helpers/replicas.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { digestsOnS3 } from '../helpers/s3-store.ts'
import { type Step, Stoppable } from '../helpers/stopping.ts'

/** As many steps are tried at a time, each with a server of its own to stop: most of it is waiting for leases to end. */
const STOPPED = 5
/** Of downloads and conversions: 6 s, and what a busy machine takes. */
const LEASES_ENDED_MS = 8_000
const SAMPLE = 5
const ROW_MS = 240_000
const START_MS = 180_000
const MIB = 1024 * 1024

type Row = readonly [title: string, step: (image: FakeImage) => Step]

const before = 'before'
const after = 'after'

/** All of them, or a sample: each takes some seconds of both cores. */
const EVERY_STEP = Boolean(process.env.FAULTS_EVERY_STEP)
const dice = new Dice(seedOf('servers that stand still'))
const someOf = (rows: readonly Row[]) =>
  EVERY_STEP ? rows : dice.shuffled(rows).slice(0, roundsOf(SAMPLE))

const blobOf = (digest: string | undefined) => `/blobs/sha256/${digest?.slice(7)}$`
const large = ({ layers }: FakeImage) => layers[0]?.digest
const small = ({ layers }: FakeImage) => layers[1]?.digest

const row = (title: string, op: Step['op'], when: Step['when'], path: string, nth = 1): Row => [
  title,
  () => ({ op, when, path, nth }),
]

const DOWNLOAD: readonly Row[] = [
  [
    'before the manifest is put',
    (image) => ({ op: 'rename', when: before, path: `store/.*${blobOf(image.digest)}` }),
  ],
  [
    'after the manifest was put',
    (image) => ({ op: 'rename', when: after, path: `store/.*${blobOf(image.digest)}` }),
  ],
  row("before the manifest's sidecar", 'rename', before, '/sidecars/'),
  row("after the manifest's sidecar", 'rename', after, '/sidecars/'),
  row("before the manifest's links", 'commit', before, 'INSERT INTO crossdock.links'),
  row("after the manifest's links", 'commit', after, 'INSERT INTO crossdock.links'),
  row('before the tag', 'commit', before, 'INSERT INTO crossdock.tags'),
  row('after the tag', 'commit', after, 'INSERT INTO crossdock.tags'),
  row('before a lease of a blob', 'lease', before, '^blob '),
  row('under a lease of a blob, before upstream is asked', 'lease', after, '^blob '),
  row('while a blob comes', 'write', before, '/data/.*tmp/', 6),
  row('before an upload in parts is begun', 'upload', before, '^POST .* uploads='),
  row('after an upload in parts was begun', 'upload', after, '^POST .* uploads='),
  row('before a part', 'upload', before, 'partNumber=1&'),
  row('after a part', 'upload', after, 'partNumber=1&'),
  row('before an upload is completed', 'upload', before, '^POST .* uploadId='),
  row('after an upload was completed', 'upload', after, '^POST .* uploadId='),
  [
    'before a small blob is put',
    (image) => ({ op: 'rename', when: before, path: `store/.*${blobOf(small(image))}` }),
  ],
  [
    'after a small blob was put',
    (image) => ({ op: 'rename', when: after, path: `store/.*${blobOf(small(image))}` }),
  ],
  [
    'before the proof of a blob',
    (image) => ({ op: 'rename', when: before, path: `/proofs/sha256/${large(image)?.slice(7)}` }),
  ],
  [
    'after the proof of a blob',
    (image) => ({ op: 'rename', when: after, path: `/proofs/sha256/${large(image)?.slice(7)}` }),
  ],
  row('before the link of a blob', 'commit', before, 'INSERT INTO crossdock.links', 2),
  row('after the link of a blob', 'commit', after, 'INSERT INTO crossdock.links', 2),
  [
    'before a blob goes into the cache',
    (image) => ({ op: 'rename', when: before, path: `/data/s3/.*${large(image)?.slice(7)}$` }),
  ],
  [
    'after a blob went into the cache',
    (image) => ({ op: 'rename', when: after, path: `/data/s3/.*${large(image)?.slice(7)}$` }),
  ],
  row('before a lease is given back', 'commit', before, 'UPDATE crossdock.leases', 2),
  row('after a lease was given back', 'commit', after, 'UPDATE crossdock.leases', 2),
]

const CONVERSION: readonly Row[] = [
  row('before the lease of a layer', 'lease', before, '^layer '),
  row('under the lease of a layer', 'lease', after, '^layer '),
  row('while a layer is compressed', 'encode', before, '', 2),
  row('while a layer is written', 'write', before, '/data/.*tmp/', 3),
  row('before its upload is begun', 'upload', before, '^POST .* uploads='),
  row('before its upload is completed', 'upload', before, '^POST .* uploadId='),
  row('after its upload was completed', 'upload', after, '^POST .* uploadId='),
  row('before a small layer is put', 'rename', before, 'store/.*/blobs/'),
  row('after a small layer was put', 'rename', after, 'store/.*/blobs/'),
  row("before a layer's row", 'commit', before, 'INSERT INTO crossdock.layers'),
  row("after a layer's row", 'commit', after, 'INSERT INTO crossdock.layers'),
  row('before the lease of a layer is given back', 'commit', before, 'UPDATE crossdock.leases'),
  row('after the lease of a layer was given back', 'commit', after, 'UPDATE crossdock.leases'),
  row('before the manifest is put', 'rename', before, 'store/.*/blobs/', 2),
  row('after the manifest was put', 'rename', after, 'store/.*/blobs/', 2),
  row("before the conversion's sidecar", 'rename', before, '/sidecars/'),
  row("after the conversion's sidecar", 'rename', after, '/sidecars/'),
  row("before the image's row", 'commit', before, 'INSERT INTO crossdock.images'),
  row("after the image's row", 'commit', after, 'INSERT INTO crossdock.images'),
  row("after the rows of the image's outputs", 'commit', after, 'INSERT INTO crossdock.outputs'),
  row('before the commit', 'commit', before, '^COMMIT'),
  row('after the commit', 'commit', after, '^COMMIT'),
]

describe.skipIf(!hasSharedPair)('a server that stands still', () => {
  let replicas: Replicas
  const idle: Stoppable[] = []
  const all: Stoppable[] = []
  /** What was served while one of them stood still. */
  const served: { readonly name: string; readonly forms: ReadonlySet<string> }[] = []
  beforeAll(async () => {
    replicas = await Replicas.start({
      count: 1,
      config: { replicas: { listen: '127.0.0.1:0' }, limits: { retries: 0 } },
    })
    for (let i = 0; i < STOPPED; i += 1) all.push(await Stoppable.add(replicas))
    idle.push(...all)
  }, START_MS)
  afterAll(async () => {
    for (const one of all) await one[Symbol.asyncDispose]()
    await replicas?.[Symbol.asyncDispose]()
  })

  test.concurrent.each(someOf(DOWNLOAD))(
    '%s, of a download',
    async (_, stepOf) => {
      await takenOver('1', stepOf)
    },
    ROW_MS,
  )

  test.concurrent.each(someOf(CONVERSION))(
    '%s, of a conversion',
    async (_, stepOf) => {
      await takenOver('1-zstd', stepOf)
    },
    ROW_MS,
  )

  async function takenOver(form: '1' | '1-zstd', stepOf: (image: FakeImage) => Step) {
    const name = `stopped/${served.length}`
    served.push({ name, forms: new Set(['1', form]) })
    const layers = [{ size: 9 * MIB, compression: 'none' as const }, { size: 60_000 }]
    const image = await replicas.registry.pushImage(name, '1', { layers })
    const victim = await taken()
    try {
      if (form !== '1') await pull(other(), name, '1')
      await victim.arm(stepOf(image))
      const own = outcomeOf(pull(victim.replica.proxy.base, name, form))
      await victim.stopped()
      const stoppedAt = performance.now()

      const forms = ['1', form, '1', form] as const
      const images = await Promise.all(
        forms.map(async (one) => [one, bytesOf(await pull(other(), name, one))] as const),
      )
      // Nobody may have waited for it.
      await sleep(stoppedAt + LEASES_ENDED_MS - performance.now())
      victim.wake()
      await victim.arm(undefined)
      expect(['served', 'told']).toContain(await own)

      // Nothing of it can be had again from there.
      replicas.registry.fault({ name }, { status: 503 })
      for (const [one, bytes] of images) {
        for (const base of [other(), victim.replica.proxy.base]) {
          expect(bytesOf(await pull(base, name, one))).toEqual(bytes)
        }
      }
    } finally {
      victim.wake()
      idle.push(victim)
    }
  }

  test(
    'leaves all that was served on S3 and in the catalog, whole, for who has nothing of it yet',
    async () => {
      for (const [key, digest] of await digestsOnS3(replicas.place, 'blobs/')) {
        expect(key).toBe(`blobs/${digest.replace(':', '/')}`)
      }
      const { proxy } = await replicas.add()
      for (const { name, forms } of served) {
        for (const form of forms) await pull(proxy.base, name, form)
      }
      const found = await verified(proxy.crossdock.configFile)
      expect(found).toMatchObject({ healed: 0, failed: 0, troubles: [] })
    },
    ROW_MS,
  )

  async function taken(): Promise<Stoppable> {
    for (;;) {
      const one = idle.pop()
      if (one !== undefined) return one
      await sleep(50)
    }
  }

  function other(): string {
    return replicas.all[0]?.proxy.base ?? ''
  }
})

async function outcomeOf(pulling: Promise<unknown>): Promise<string> {
  return await pulling.then(
    () => 'served',
    (error: unknown) => (error instanceof RefusedError ? 'told' : String(error)),
  )
}

/** By another machine's command. */
async function verified(config: string): Promise<unknown> {
  const data = await mkdtemp(join(tmpdir(), 'crossdock-verified-'))
  const main = join(ROOT, 'src/main.ts')
  const command = [main, 'verify', '--json', '--config', config, '--data', join(data, 'data')]
  const { stdout, stderr } = await runCommand(process.execPath, command, {
    env: { ...S3_CREDENTIALS },
  })
  await rm(data, { recursive: true })
  return JSON.parse(stdout || JSON.stringify({ stderr }))
}
