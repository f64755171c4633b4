/** Who gets the end of which answer when, of a blob that is not safe yet. */
import { expect, test } from 'vitest'
import { digestOf } from '../../../src/oci/digest.ts'
import type { BlobStat, ByteRange, GrowingBlob } from '../../../src/ports/blobs.ts'
import { Handover } from '../../../src/pull/handover.ts'
import type { OpenBlob } from '../../../src/pull/open-blob.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const KIB = 1024
const SIZE = 1024 * KIB
const CHUNK = 32 * KIB
const digest = digestOf(Buffer.from('a blob'))

const FIRST = { start: 0, end: SIZE / 2 }
const SECOND = { start: SIZE / 2, end: SIZE }
const FOOTER = { start: SIZE - 10, end: SIZE }

/** A blob that grows as the test says; any range of it can be had, as by a request of its own. */
class Growing {
  received = 0
  readonly verified = Promise.withResolvers<BlobStat>()
  readonly kept = Promise.withResolvers<void>()
  readonly blob: OpenBlob

  readonly size: number

  constructor(size = SIZE) {
    this.size = size
    for (const { promise } of [this.verified, this.kept]) promise.catch(() => undefined)
    const isAt = () => this.received
    const read = async function* ({ start, end }: ByteRange = { start: 0, end: size }) {
      for (let at = start; at < end; at += CHUNK) yield Buffer.alloc(Math.min(CHUNK, end - at))
    }
    const growing: GrowingBlob = {
      expected: { digest, size },
      get received() {
        return isAt()
      },
      verified: this.verified.promise,
      stored: this.verified.promise,
      read,
    }
    this.blob = { digest, size, growing, kept: this.kept.promise, read }
  }

  come(): void {
    this.received = this.size
    this.verified.resolve({ digest, size: this.size })
  }
}

class Client {
  had = 0
  isDone = false
  readonly end: Promise<unknown>

  constructor(handover: Handover, { blob }: Growing, range?: ByteRange) {
    const bytes = handover.read(blob, range)
    const all = async () => {
      for await (const chunk of bytes) this.had += chunk.byteLength
      this.isDone = true
    }
    this.end = all().catch((error: unknown) => error)
  }
}

async function asks(handover: Handover, growing: Growing, range?: ByteRange): Promise<Client> {
  const client = new Client(handover, growing, range)
  await settled()
  return client
}

test('the end of a whole blob waits until it is kept', async () => {
  const growing = new Growing()
  growing.come()
  const client = await asks(new Handover(), growing)
  expect(client.had).toBe(SIZE - CHUNK)
  growing.kept.resolve()
  await client.end
  expect(client.had).toBe(SIZE)
})

test('of an empty blob the end itself does', async () => {
  const growing = new Growing(0)
  growing.come()
  const client = await asks(new Handover(), growing)
  expect(client.isDone).toBe(false)
  growing.kept.resolve()
  await settled()
  expect(client.isDone).toBe(true)
})

test.each([
  ['the second half', FIRST, SECOND],
  ['the first half, after a second one from elsewhere', SECOND, FIRST],
  ['the middle, after a footer from elsewhere', FOOTER, { start: 0, end: SIZE - 10 }],
])('while it grows, who asks for %s waits, and who asked before did not', async (_, one, other) => {
  const growing = new Growing()
  const handover = new Handover()
  expect((await asks(handover, growing, one)).isDone).toBe(true)
  const last = await asks(handover, growing, other)
  expect(last.isDone).toBe(false)
  growing.come()
  await settled()
  expect(last.isDone).toBe(false)
  growing.kept.resolve()
  await settled()
  expect(last.isDone).toBe(true)
})

test('while it grows, no range waits of which nobody can have the rest', async () => {
  const growing = new Growing()
  const handover = new Handover()
  const ranges = [
    FOOTER,
    { start: 200 * KIB, end: 300 * KIB },
    SECOND,
    FOOTER,
    { start: 0, end: 9 },
  ]
  for (const range of ranges) expect((await asks(handover, growing, range)).isDone).toBe(true)
})

test('when all has come any range waits: the rest may have come from another server', async () => {
  const growing = new Growing()
  growing.come()
  const client = await asks(new Handover(), growing, { start: 100, end: 200 })
  expect(client.isDone).toBe(false)
  growing.kept.resolve()
  await settled()
  expect(client.isDone).toBe(true)
})

test('who left before the end had what went out', async () => {
  const growing = new Growing()
  const handover = new Handover()
  const gone = handover.read(growing.blob)[Symbol.asyncIterator]()
  for (let at = 0; at < SIZE - 64 * KIB; at += CHUNK) await gone.next()
  await gone.return?.()
  expect((await asks(handover, growing, FOOTER)).isDone).toBe(false)
})

test('right bytes come also when there is no room for them', async () => {
  const growing = new Growing()
  growing.come()
  const client = await asks(new Handover(), growing, SECOND)
  growing.kept.reject(new Error('full'))
  await settled()
  expect(client.isDone).toBe(true)
})

test('who waits gets no end when the bytes are wrong', async () => {
  const growing = new Growing()
  growing.received = SIZE
  const client = await asks(new Handover(), growing, FIRST)
  growing.verified.reject(new Error('wrong'))
  growing.kept.reject(new Error('wrong'))
  expect(await client.end).toEqual(new Error('wrong'))
  expect(client.isDone).toBe(false)
})

test('what is in the store waits for nobody', async () => {
  const growing = new Growing()
  const { read } = growing.blob
  let seen: unknown
  const handover = new Handover()
  const options = { reuse: true }
  const stored: OpenBlob = {
    digest,
    size: SIZE,
    read: (range, how) => {
      seen = how
      return read(range)
    },
  }
  let had = 0
  for await (const chunk of handover.read(stored, SECOND, options)) had += chunk.byteLength
  expect(had).toBe(SIZE / 2)
  expect(seen).toBe(options)
})

test('a size that an upstream only claims costs no memory', async () => {
  const growing = new Growing(2 ** 52)

  const client = await asks(new Handover(), growing, { start: 0, end: CHUNK })

  expect(client).toMatchObject({ had: CHUNK, isDone: true })
})
