/** Every client pulls every form of an image from a crossdock that has seen nothing. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Semaphore } from '../../src/lib/semaphore.ts'
import {
  CLIENTS,
  type ClientName,
  forget,
  getClient,
  pull,
  runContainer,
  startClient,
} from '../helpers/clients.ts'
import { expectFetched, markLog } from '../helpers/clients-evidence.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY } from '../helpers/fixtures.ts'
import { compressionOf, readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { expectSameImage, expectSoundImage } from '../helpers/oracles.ts'

const FORMS = [
  { suffix: '', layers: 'gzip' },
  { suffix: '-zstd', layers: 'zstd' },
  { suffix: '-gzip', layers: 'gzip' },
  { suffix: '-none', layers: 'none' },
] as const

type Form = (typeof FORMS)[number]

/** `-gzip` of a gzip image is the image itself; a mixed one has layers to convert. */
const SMALL: Readonly<Record<Form['suffix'], string>> = {
  '': 'debian:12',
  '-zstd': 'debian:12',
  '-gzip': 'mixed:1',
  '-none': 'debian:12',
}

/**
 * The large image (611 MB in 31,000 files) takes half a minute to unpack, so each engine pulls one form of it, CRI or `ctr`
 * for a containerd: every form is pulled by every code base (containers/image, containerd, Docker, go-containerregistry or
 * oras), the first of each list from a cold store.
 */
const LARGE: Readonly<Record<Form['suffix'], readonly ClientName[]>> = {
  '': ['ctr16', 'skopeo'],
  '-zstd': ['ctr24', 'podman', 'dkctd', 'crane', 'skopeo22'],
  '-gzip': ['dk20', 'cri', 'skopeo'],
  '-none': ['dkcls', 'podman4', 'cri24', 'oras', 'skopeo22'],
}

/** Two at a time keep two cores busy: unpacking is one thread's work, and the disk's. */
const slots = new Semaphore(2)
/** A daemon's store is emptied for each pull, so one pull at a time. */
const stores = new Map<string, Semaphore>()

/** Waiting for a slot counts as well. */
const PATIENCE_MS = 1_200_000

describeWith(['registry', 'clients', 'containerd', 'oracles'], 'clients', () => {
  describe.concurrent('small images, each client from a crossdock of its own', () => {
    for (const client of CLIENTS) {
      const images = FORMS.map((form) => SMALL[form.suffix] + form.suffix).join(', ')
      test(
        `${client.title} pulls ${images}`,
        () =>
          alone(client.name, async () => {
            await using crossdock = await startCrossdock()
            for (const form of FORMS) {
              await pullCold(crossdock, client.name, SMALL[form.suffix], form)
            }
          }),
        PATIENCE_MS,
      )
    }
  })

  for (const form of FORMS) {
    describe(`node-app:1${form.suffix}`, () => {
      let crossdock: Crossdock
      beforeAll(async () => {
        crossdock = await startCrossdock()
      })
      afterAll(async () => {
        await crossdock[Symbol.asyncDispose]()
      })

      for (const name of LARGE[form.suffix]) {
        test(`is pulled by ${name}`, { concurrent: true, timeout: PATIENCE_MS }, () =>
          alone(name, () => pullCold(crossdock, name, 'node-app:1', form)),
        )
      }

      test('unpacks to the same files, config and diffIDs as the source', async () => {
        const image = `${crossdock.host}/node-app:1${form.suffix}`
        await expectSameImage(`${REGISTRY}/node-app:1`, image)
        const source = await readManifest(`${REGISTRY}/node-app:1`)
        const answer = await readManifest(image)
        expect(answer.document.config?.digest).toBe(source.document.config?.digest)
      })
    })
  }

  describe('debian:12 as an index', () => {
    let crossdock: Crossdock
    beforeAll(async () => {
      crossdock = await startCrossdock()
    })
    afterAll(async () => {
      await crossdock[Symbol.asyncDispose]()
    })

    for (const { suffix } of FORMS) {
      test(`debian:12${suffix} is sound down to its attestations and unpacks to the same files`, async () => {
        const image = `${crossdock.host}/debian:12${suffix}`
        await expectSoundImage(image)
        await expectSameImage(`${REGISTRY}/debian:12`, image)
      })
    }

    test('-gzip of a gzip image is the source byte for byte', async () => {
      const source = await readManifest(`${REGISTRY}/debian:12`)
      const answer = await readManifest(`${crossdock.host}/debian:12-gzip`)
      expect(answer.digest).toBe(source.digest)
      expect(answer.conversion).toMatch(/^original; reason=already-gzip/)
    })
  })
})

/** Has the client's store for itself, and leaves it empty. */
async function alone(name: ClientName, body: () => Promise<void>): Promise<void> {
  const store = getClient(name).daemon ?? name
  const turn = stores.get(store) ?? new Semaphore(1)
  stores.set(store, turn)
  await turn.run(() =>
    slots.run(async () => {
      await startClient(name)
      try {
        await body()
      } finally {
        await forget(name)
      }
    }),
  )
}

async function pullCold(
  crossdock: Crossdock,
  name: ClientName,
  image: string,
  form: Form,
): Promise<void> {
  const client = getClient(name)
  const reference = `${crossdock.host}/${image}${form.suffix}`
  // Docker 20.10 cannot read zstd and gets the original in its place.
  const isSpared = form.layers === 'zstd' && client.readsZstd === false
  await forget(name)
  const mark = markLog(crossdock)

  await pull(name, reference)

  const answer = await readImage(isSpared ? `${REGISTRY}/${image}` : reference)
  expect(new Set(answer.document.layers?.map(compressionOf))).toEqual(
    new Set([isSpared ? 'gzip' : form.layers]),
  )
  await expectFetched(crossdock, mark, name, answer)
  if (client.runs && image === 'debian:12') {
    expect(await runContainer(name, reference, ['cat', '/etc/debian_version'])).toMatch(/^12\./)
  }
}
