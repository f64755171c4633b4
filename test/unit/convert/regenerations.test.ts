import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { Layers } from '../../../src/convert/layers.ts'
import { Regenerations } from '../../../src/convert/regenerations.ts'
import { StoredBlob } from '../../../src/convert/stored-blob.ts'
import { SET_BACK } from '../../../src/convert/turn.ts'
import { CrossdockError, type FailureKind } from '../../../src/errors.ts'
import { zstd } from '../../../src/format/recompressed.ts'
import { collect } from '../../../src/lib/streams.ts'
import { digestOf } from '../../../src/oci/digest.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'

const BYTES = randomBytes(100_000)
const repository = { upstream: 'up', name: 'app' }
const failure = (kind: FailureKind, reason?: string) =>
  new CrossdockError(kind, 'as told', reason === undefined ? {} : { reason })

/** Makes a layer again, which fails with these first, after so many bytes. */
async function failing(failures: readonly Error[], after = 0) {
  const { blobs: store, catalog } = memoryStore()
  const target = digestOf(BYTES)
  const { name: encoding, revision } = zstd.encoding
  const digest = digestOf(Buffer.from('source'))
  await catalog.conversions.recordLayer({
    ...{ kind: 'made', source: digest, encoding, options: {}, revision, facts: {} },
    ...{ target, size: BYTES.byteLength, diffId: digest, uncompressedSize: 1 },
  })
  const begun: string[] = []
  const left = [...failures]
  const make: Layers['make'] = async (known, _, onWriter, from = 'enough') => {
    begun.push(from)
    const error = left.shift()
    if (error === undefined) {
      onWriter(new StoredBlob(store.put(BYTES), store))
      return known
    }
    const writer = await store.create({ digest: target, size: BYTES.byteLength })
    onWriter(writer)
    if (after > 0) await writer.write(BYTES.subarray(0, after))
    await new Promise(setImmediate)
    await writer.abort(error)
    throw error
  }
  const layers = { make } as Layers
  const { clock } = DOWNLOADS
  const blob = await new Regenerations({ catalog, layers, clock }).open(repository, target)
  if (blob === undefined) throw new Error('it has a recipe')
  return { blob, begun }
}

test.each([
  ['its place went to another one', failure('overloaded', SET_BACK)],
  ['what it is made of went', failure('blobUnknown')],
  ['what it is made of has rotted', failure('badDigest', 'rotten')],
])(
  'a layer is begun again, from a whole source, when %s before a byte of it was read',
  async (_, error) => {
    const { blob, begun } = await failing([error, error])

    expect(Buffer.from(await collect(blob.read(), 1e6)).equals(BYTES)).toBe(true)

    await blob.kept
    expect(begun).toEqual(['enough', 'whole', 'whole'])
  },
)

test('it is begun no more than four times, nor when it fails in another way', async () => {
  const error = failure('overloaded', SET_BACK)
  const ever = await failing(Array.from({ length: 9 }, () => error))
  await expect(collect(ever.blob.read(), 1e6)).rejects.toBe(error)
  expect(ever.begun).toHaveLength(4)

  const wrong = failure('upstreamFailed')
  const other = await failing([wrong])
  await expect(collect(other.blob.read(), 1e6)).rejects.toBe(wrong)
  expect(other.begun).toHaveLength(1)
})

test('who has read of it is told, for the rest may come out otherwise', async () => {
  const error = failure('overloaded', SET_BACK)
  const { blob } = await failing([error], 90_000)
  const chunks: number[] = []
  const reading = async () => {
    for await (const { byteLength } of blob.read()) chunks.push(byteLength)
  }

  await expect(reading()).rejects.toBe(error)
  expect(chunks.length).toBeGreaterThan(0)
})
