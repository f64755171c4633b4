/** Surveys of indexes that were never honest: what they cost, and what becomes of their other children. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { HeldDocuments } from '../../../src/convert/held-documents.ts'
import { Setbacks } from '../../../src/convert/setbacks.ts'
import { Surveyor } from '../../../src/convert/survey.ts'
import { CrossdockError, UPSTREAM_BUSY } from '../../../src/errors.ts'
import { findFormat } from '../../../src/format/formats.ts'
import { MAX_NODES } from '../../../src/lib/walk.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS, parseManifest } from '../../../src/oci/manifest.ts'
import type { RawManifest } from '../../../src/ports/upstream.ts'
import type { Manifests } from '../../../src/pull/manifests.ts'
import { type FakeManifest, fakeImage, json } from '../../helpers/fake-image.ts'
import { indexOf } from '../../helpers/many-children.ts'
import { noInterest } from '../../helpers/open-blobs.ts'

const REPOSITORY = { upstream: 'origin', name: 'x' }

const noHolding = () => new HeldDocuments().open('x')

describe('a survey', () => {
  test('asks for each child once, however many indexes name it', async () => {
    const image = await fakeImage()
    const inner = [1, 2, 3].map((times) => indexOf(Array.from({ length: times }, () => image)))
    const root = indexOf([...inner, ...inner])
    const asked: Digest[] = []

    const survey = await surveyorOf([image, ...inner], asked).survey(
      taskOf(root),
      undefined,
      noHolding(),
    )

    expect(survey.kind).toBe('index')
    expect(asked.toSorted()).toEqual([image, ...inner].map(({ digest }) => digest).toSorted())
  })

  test('asks for each child once where many indexes name many at the same time', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 50 }, (_, k) => artifact(mediaType, `${k}`))
    const inner = Array.from({ length: 50 }, (_, k) => indexOf([...leaves.slice(k), ...leaves]))
    const asked: Digest[] = []

    await surveyorOf([...leaves, ...inner], asked).survey(
      taskOf(indexOf(inner)),
      undefined,
      noHolding(),
    )

    expect(asked).toHaveLength(100)
  })

  test('ends when an index leads to more images than are followed', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 6 }, (_, i) =>
      Array.from({ length: 1000 }, (_, k) => artifact(mediaType, `${i} ${k}`)),
    )
    const indexes = leaves.map(indexOf)
    const asked: Digest[] = []
    const surveyor = surveyorOf([...leaves.flat(), ...indexes], asked)

    await expect(
      surveyor.survey(taskOf(indexOf(indexes)), undefined, noHolding()),
    ).rejects.toMatchObject({
      kind: 'refused',
      reason: 'too-many-manifests',
      message: expect.stringMatching(/without a profile/),
    })
    expect(asked.length).toBeLessThanOrEqual(MAX_NODES)
  })

  test('looks at a few children at a time, whatever index names them', async () => {
    const { mediaType } = await fakeImage()
    const leaves = [0, 1].map((i) =>
      Array.from({ length: 20 }, (_, k) => artifact(mediaType, `${i} ${k}`)),
    )
    const indexes = leaves.map(indexOf)
    const asked: Digest[] = []
    const busy = { now: 0, most: 0 }
    const surveyor = surveyorOf([...leaves.flat(), ...indexes], asked, async () => {
      busy.now += 1
      busy.most = Math.max(busy.most, busy.now)
      await setImmediate()
      busy.now -= 1
    })

    await surveyor.survey(taskOf(indexOf(indexes)), undefined, noHolding())

    expect(asked).toHaveLength(42)
    expect(busy.most).toBe(8)
  })

  test('asks for nothing any more once something ends it', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 100 }, (_, k) => artifact(mediaType, `${k}`))
    const asked: Digest[] = []
    const surveyor = surveyorOf(leaves, asked, async () => {
      await setImmediate()
      throw new CrossdockError('overloaded', 'too much', { reason: UPSTREAM_BUSY })
    })

    await expect(surveyor.survey(taskOf(indexOf(leaves)), undefined, noHolding())).rejects.toThrow(
      'too much',
    )
    const before = asked.length
    await setImmediate()

    expect(before).toBeLessThan(20)
    expect(asked).toHaveLength(before)
  })
})

function surveyorOf(
  known: readonly FakeManifest[],
  asked: Digest[],
  wait: () => Promise<void> = async () => undefined,
): Surveyor {
  const byDigest = new Map(known.map((one) => [one.digest, one]))
  const diffIds = ['sha256:'.padEnd(71, '0') as Digest]
  const manifests: Pick<Manifests, 'get' | 'parse' | 'config'> = {
    get: async (_, digest) => {
      asked.push(digest)
      await wait()
      return byDigest.get(digest)
    },
    parse: (raw) => parseManifest(raw, DEFAULT_MODEL_LIMITS),
    config: async () => ({ diffIds }),
  }
  const contents = { mislabelled: async () => new Set<Digest>() }
  return new Surveyor({ manifests, contents, setbacks: new Setbacks() })
}

function taskOf(source: RawManifest) {
  const format = findFormat('zstd')
  if (format === undefined) throw new Error('there is zstd')
  const options = { level: 3 }
  const common = { repository: REPOSITORY, profile: 'zstd', acceptance: 'any' } as const
  const interest = noInterest()
  return { ...common, source, format, options, platforms: 'all', interest } as const
}

/** Small, and no image that would be converted. */
function artifact(mediaType: string, text: string): FakeManifest {
  const config = { mediaType: 'application/vnd.example', digest: EMPTY, size: 2 }
  const bytes = json({ schemaVersion: 2, mediaType, config, layers: [], annotations: { text } })
  return { mediaType, digest: digestOf(bytes), bytes }
}

const EMPTY = digestOf(json({}))
