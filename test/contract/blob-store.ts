/** What every BlobStore must do; run on each implementation. */
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import type { BlobStore, BlobWriter, ByteRange } from '../../src/ports/blobs.ts'

export interface BlobStoreUnderTest extends AsyncDisposable {
  readonly blobs: BlobStore
}

const ABSENT = digestOf(Buffer.from('absent'))

export function describeBlobStore(name: string, open: () => Promise<BlobStoreUnderTest>): void {
  describe(`blob store ${name}`, () => {
    let opened: BlobStoreUnderTest | undefined
    const start = async () => {
      opened = await open()
      return opened.blobs
    }
    afterEach(async () => {
      await opened?.[Symbol.asyncDispose]()
      opened = undefined
    })

    describeWriting(start)
    describeReading(start)
    describeGrowing(start)
  })
}

function describeWriting(start: () => Promise<BlobStore>): void {
  it('shows a blob only when it was committed', async () => {
    const blobs = await start()
    const bytes = randomBytes(200_000)
    const writer = await blobs.create({ digest: digestOf(bytes), size: bytes.byteLength })

    await writer.write(bytes)
    expect(await blobs.stat(digestOf(bytes))).toBeUndefined()
    const stat = await writer.commit()

    expect(stat).toEqual({ digest: digestOf(bytes), size: bytes.byteLength })
    expect(await blobs.stat(stat.digest)).toEqual(stat)
    expect(await writer.verified).toEqual(stat)
    expect(await writer.stored).toEqual(stat)
    expect(await collect(blobs.read(stat.digest))).toEqual(bytes)
  })

  it('names bytes that nobody expected by their digest', async () => {
    const blobs = await start()
    const stat = await put(blobs, randomBytes(10))

    expect(await blobs.stat(stat.digest)).toEqual(stat)
  })

  it('keeps an empty blob', async () => {
    const blobs = await start()
    const stat = await put(blobs, new Uint8Array())

    expect(stat.size).toBe(0)
    expect(await collect(blobs.read(stat.digest))).toEqual(new Uint8Array())
  })

  it('keeps blobs with sha512 digests', async () => {
    const blobs = await start()
    const bytes = randomBytes(1_000)
    const digest = digestOf(bytes, 'sha512')
    const writer = await blobs.create({ digest })
    await writer.write(bytes)

    expect(await writer.commit()).toEqual({ digest, size: 1_000 })
    expect(await collect(blobs.read(digest))).toEqual(bytes)
    expect(await list(blobs)).toEqual([{ digest, size: 1_000 }])
  })

  it('refuses bytes with another digest than expected', async () => {
    const blobs = await start()
    const writer = await blobs.create({ digest: ABSENT })
    await writer.write(randomBytes(100))

    await expect(writer.commit()).rejects.toMatchObject({ kind: 'badDigest' })
    await expect(writer.verified).rejects.toMatchObject({ kind: 'badDigest' })
    await expect(writer.stored).rejects.toMatchObject({ kind: 'badDigest' })
    expect(await list(blobs)).toEqual([])
  })

  it('refuses fewer bytes than expected at the end', async () => {
    const blobs = await start()
    const writer = await blobs.create({ size: 101 })
    await writer.write(randomBytes(100))

    await expect(writer.commit()).rejects.toMatchObject({ kind: 'badSize' })
    expect(await list(blobs)).toEqual([])
  })

  it('refuses more bytes than expected at once', async () => {
    const blobs = await start()
    const writer = await blobs.create({ size: 99 })

    await expect(writer.write(randomBytes(100))).rejects.toMatchObject({ kind: 'badSize' })
    await expect(writer.commit()).rejects.toMatchObject({ kind: 'badSize' })
    expect(await list(blobs)).toEqual([])
  })

  it('keeps one blob when two writers bring the same bytes', async () => {
    const blobs = await start()
    const bytes = randomBytes(100_000)
    const writers = await Promise.all([blobs.create({}), blobs.create({})])
    await Promise.all(writers.map((writer) => writer.write(bytes)))
    const stats = await Promise.all(writers.map((writer) => writer.commit()))

    expect(stats[0]).toEqual(stats[1])
    expect(await list(blobs)).toEqual([stats[0]])
    expect(await collect(blobs.read(digestOf(bytes)))).toEqual(bytes)
  })

  it('does nothing when a committed blob is aborted', async () => {
    const blobs = await start()
    const writer = await blobs.create({})
    await writer.write(randomBytes(100))
    const stat = await writer.commit()

    await writer.abort(new Error('too late'))

    expect(await blobs.stat(stat.digest)).toEqual(stat)
    expect(await writer.stored).toEqual(stat)
  })
}

function describeReading(start: () => Promise<BlobStore>): void {
  it('says that a blob is unknown', async () => {
    const blobs = await start()

    expect(await blobs.stat(ABSENT)).toBeUndefined()
    await expect(collect(blobs.read(ABSENT))).rejects.toMatchObject({ kind: 'blobUnknown' })
    expect(await blobs.delete(ABSENT)).toBe(false)
  })

  it('reads any range', async () => {
    const blobs = await start()
    const bytes = randomBytes(600_000)
    const { digest } = await put(blobs, bytes)

    await fc.assert(
      fc.asyncProperty(rangeOf(bytes.byteLength), async (range) => {
        const found = Buffer.from(await collect(blobs.read(digest, range)))
        expect(found.equals(bytes.subarray(range.start, range.end))).toBe(true)
      }),
      { numRuns: 40 },
    )
  })

  it('refuses a range that ends after the blob', async () => {
    const blobs = await start()
    const { digest } = await put(blobs, randomBytes(100))

    const read = collect(blobs.read(digest, { start: 50, end: 101 }))
    await expect(read).rejects.toMatchObject({ kind: 'rangeInvalid' })
  })

  it('lists what is there', async () => {
    const blobs = await start()
    const stats = [await put(blobs, randomBytes(1)), await put(blobs, randomBytes(2))]

    const byDigest = (a: { digest: string }, b: { digest: string }) =>
      a.digest < b.digest ? -1 : 1
    expect((await list(blobs)).sort(byDigest)).toEqual(stats.sort(byDigest))
  })

  it('deletes under a reader that goes on', async () => {
    const blobs = await start()
    const bytes = randomBytes(2_000_000)
    const { digest } = await put(blobs, bytes)
    const reader = blobs.read(digest)[Symbol.asyncIterator]()
    const first = await reader.next()

    expect(await blobs.delete(digest)).toBe(true)
    expect(await blobs.stat(digest)).toBeUndefined()

    const rest = await collect({ [Symbol.asyncIterator]: () => reader })
    expect(Buffer.concat([first.value ?? new Uint8Array(), rest]).equals(bytes)).toBe(true)
  })
}

function describeGrowing(start: () => Promise<BlobStore>): void {
  it('gives every reader exactly the bytes, whenever it comes and whatever range it asks', async () => {
    const blobs = await start()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 120_000 }), { maxLength: 8 }),
        fc.boolean(),
        fc.array(fc.tuple(fc.nat(8), fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean()), {
          maxLength: 6,
        }),
        fc.nat(),
        async (sizes, isSizeKnown, comers, seed) => {
          const chunks = sizes.map((size, i) => seededBytes(size, seed + i))
          const whole = Buffer.concat(chunks)
          const size = isSizeKnown ? whole.byteLength : undefined
          const writer = await blobs.create({ size })
          const reads: Promise<void>[] = []
          const join = (step: number) => {
            for (const [at, where, toEnd] of comers) {
              if (Math.min(at, chunks.length) !== step) continue
              const begin = Math.floor(where * whole.byteLength)
              const range = toEnd ? undefined : { start: begin, end: whole.byteLength }
              reads.push(expectBytes(writer, range, whole.subarray(range?.start ?? 0)))
            }
          }
          for (const [i, chunk] of chunks.entries()) {
            join(i)
            await writer.write(chunk)
          }
          join(chunks.length)
          await writer.commit()
          await Promise.all(reads)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('lets followers read while the blob grows', async () => {
    const blobs = await start()
    const bytes = randomBytes(300_000)
    const writer = await blobs.create({ size: 300_000 })
    await writer.write(bytes.subarray(0, 200_000))

    const head = await collect(writer.read({ start: 0, end: 150_000 }))

    expect(head).toEqual(bytes.subarray(0, 150_000))
    await writer.abort(new Error('enough'))
  })

  it('holds the last bytes back until the digest is known to be right', async () => {
    const blobs = await start()
    const bytes = randomBytes(300_000)
    const writer = await blobs.create({ digest: ABSENT, size: 300_000 })
    const seen: Uint8Array[] = []
    const reading = failureOf(
      (async () => {
        for await (const chunk of writer.read()) seen.push(chunk)
      })(),
    )

    await writer.write(bytes)
    await expect(writer.commit()).rejects.toMatchObject({ kind: 'badDigest' })

    expect(await reading).toMatchObject({ kind: 'badDigest' })
    expect(Buffer.concat(seen).byteLength).toBeLessThan(300_000)
  })

  it('fails every reader with the cause of an abort', async () => {
    const blobs = await start()
    const writer = await blobs.create({})
    const ranges = [undefined, { start: 10, end: 20 }]
    const failures = ranges.map((range) => failureOf(collect(writer.read(range))))
    const cause = new Error('upstream went away')
    await writer.write(randomBytes(5))

    await writer.abort(cause)

    expect(await Promise.all(failures)).toEqual([cause, cause])
    await expect(collect(writer.read())).rejects.toBe(cause)
    await expect(writer.write(randomBytes(1))).rejects.toBe(cause)
    await expect(writer.stored).rejects.toBe(cause)
    expect(await list(blobs)).toEqual([])
  })

  it('is not disturbed by a reader that leaves', async () => {
    const blobs = await start()
    const bytes = randomBytes(400_000)
    const writer = await blobs.create({})
    await writer.write(bytes)
    for await (const _ of writer.read()) break

    const stat = await writer.commit()

    expect(await collect(blobs.read(stat.digest))).toEqual(bytes)
  })

  it('can be read after it was stored', async () => {
    const blobs = await start()
    const bytes = randomBytes(100_000)
    const writer = await blobs.create({})
    await writer.write(bytes)
    await writer.commit()

    expect(await collect(writer.read())).toEqual(bytes)
    expect(await collect(writer.read({ start: 5, end: 50 }))).toEqual(bytes.subarray(5, 50))
  })
}

async function expectBytes(
  writer: BlobWriter,
  range: ByteRange | undefined,
  expected: Uint8Array,
): Promise<void> {
  const found = await collect(writer.read(range))
  expect(Buffer.from(found).equals(expected)).toBe(true)
}

function rangeOf(size: number): fc.Arbitrary<ByteRange> {
  return fc
    .tuple(fc.nat(size), fc.nat(size))
    .map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) }))
}

export async function put(blobs: BlobStore, bytes: Uint8Array) {
  const writer = await blobs.create({})
  await writer.write(bytes)
  return await writer.commit()
}

async function list(blobs: BlobStore): Promise<{ digest: Digest; size: number }[]> {
  const found = await toArray(blobs.list())
  return found.map(({ digest, size }) => ({ digest, size }))
}

export async function collect(bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  return Uint8Array.from(Buffer.concat(await toArray(bytes)))
}

export async function toArray<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** What work that is under way will fail with. */
async function failureOf(work: Promise<unknown>): Promise<unknown> {
  return await work.then(
    () => undefined,
    (error) => error,
  )
}

let seeds = 0
export function randomBytes(size: number): Uint8Array {
  seeds += 1
  return seededBytes(size, seeds)
}

/** The same for the same seed, so that a failure can be repeated. */
function seededBytes(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = (seed * 2_654_435_761 + 1) >>> 0
  for (let i = 0; i < size; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}
