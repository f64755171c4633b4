/** Plans for indexes that were never honest: what they cost, and what becomes of their other children. */
import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { HeldDocuments } from '../../../src/convert/held-documents.ts'
import { keyOf } from '../../../src/convert/image-task.ts'
import { Planner } from '../../../src/convert/planner.ts'
import { Setbacks } from '../../../src/convert/setbacks.ts'
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

describe('a plan', () => {
  test('asks for each child once, however many indexes name it', async () => {
    const image = await fakeImage()
    const inner = [1, 2, 3].map((times) => indexOf(Array.from({ length: times }, () => image)))
    const root = indexOf([...inner, ...inner])
    const asked: Digest[] = []

    const plan = await plannerOf([image, ...inner], asked).plan(conversionOf(root), noHolding())

    expect(plan.kind).toBe('index')
    expect(asked.toSorted()).toEqual([image, ...inner].map(({ digest }) => digest).toSorted())
  })

  test('asks for each child once where many indexes name many at the same time', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 50 }, (_, k) => artifact(mediaType, `${k}`))
    const inner = Array.from({ length: 50 }, (_, k) => indexOf([...leaves.slice(k), ...leaves]))
    const asked: Digest[] = []

    await plannerOf([...leaves, ...inner], asked).plan(conversionOf(indexOf(inner)), noHolding())

    expect(asked).toHaveLength(100)
  })

  test('ends when an index leads to more images than are followed', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 6 }, (_, i) =>
      Array.from({ length: 1000 }, (_, k) => artifact(mediaType, `${i} ${k}`)),
    )
    const indexes = leaves.map(indexOf)
    const asked: Digest[] = []
    const planner = plannerOf([...leaves.flat(), ...indexes], asked)

    await expect(planner.plan(conversionOf(indexOf(indexes)), noHolding())).rejects.toMatchObject({
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
    const planner = plannerOf([...leaves.flat(), ...indexes], asked, async () => {
      busy.now += 1
      busy.most = Math.max(busy.most, busy.now)
      await setImmediate()
      busy.now -= 1
    })

    await planner.plan(conversionOf(indexOf(indexes)), noHolding())

    expect(asked).toHaveLength(42)
    expect(busy.most).toBe(8)
  })

  test('asks for nothing any more once something ends it', async () => {
    const { mediaType } = await fakeImage()
    const leaves = Array.from({ length: 100 }, (_, k) => artifact(mediaType, `${k}`))
    const asked: Digest[] = []
    const planner = plannerOf(leaves, asked, async () => {
      await setImmediate()
      throw new CrossdockError('overloaded', 'too much', { reason: UPSTREAM_BUSY })
    })

    await expect(planner.plan(conversionOf(indexOf(leaves)), noHolding())).rejects.toThrow(
      'too much',
    )
    const before = asked.length
    await setImmediate()

    expect(before).toBeLessThan(20)
    expect(asked).toHaveLength(before)
  })
})

function plannerOf(
  known: readonly FakeManifest[],
  asked: Digest[],
  wait: () => Promise<void> = async () => undefined,
): Planner {
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
  return new Planner({ manifests, contents, setbacks: new Setbacks() })
}

function conversionOf(source: RawManifest) {
  const format = findFormat('zstd')
  if (format === undefined) throw new Error('there is zstd')
  const common = { repository: REPOSITORY, profile: 'zstd', acceptance: 'any' } as const
  const task = { ...common, source, format, options: { level: 3 }, platforms: 'all' } as const
  const key = keyOf(task, parseManifest(source, DEFAULT_MODEL_LIMITS))
  if (key === undefined) throw new Error('zstd has a form for everybody')
  return { task, key, interest: noInterest() }
}

/** Small, and no image that would be converted. */
function artifact(mediaType: string, text: string): FakeManifest {
  const config = { mediaType: 'application/vnd.example', digest: EMPTY, size: 2 }
  const bytes = json({ schemaVersion: 2, mediaType, config, layers: [], annotations: { text } })
  return { mediaType, digest: digestOf(bytes), bytes }
}

const EMPTY = digestOf(json({}))
