/** Ranges far ahead of a download: what they cost upstream, and that they are right whatever happens. */
import { randomBytes } from 'node:crypto'
import { beforeEach, expect, test } from 'vitest'
import { collect } from '../../../src/lib/streams.ts'
import { type Digest, digestOf } from '../../../src/oci/digest.ts'
import type { ByteRange } from '../../../src/ports/blobs.ts'
import { Blobs } from '../../../src/pull/blobs.ts'
import type { OpenBlob } from '../../../src/pull/open-blob.ts'
import { memoryStore } from '../../helpers/memory-store.ts'
import { DOWNLOADS } from '../../helpers/open-blobs.ts'
import {
  settled,
  type Tap,
  TapUpstream,
  TestClock,
  upstreamsOf,
} from '../../helpers/tap-upstream.ts'

const MIB = 1024 * 1024
const SIZE = 48 * MIB
const BYTES = randomBytes(SIZE)
const DIGEST: Digest = digestOf(BYTES)

let clock: TestClock
let upstream: TapUpstream
let blob: OpenBlob

beforeEach(async () => {
  clock = new TestClock()
  upstream = new TapUpstream('local')
  upstream.add({ digest: DIGEST, size: SIZE })
  const { blobs: store, catalog } = memoryStore()
  const upstreams = upstreamsOf(upstream)
  const blobs = new Blobs({ ...DOWNLOADS, store, catalog, upstreams, offline: false, clock })
  const opened = await blobs.open({ upstream: 'local', name: 'app' }, DIGEST)
  if (opened === undefined) throw new Error('the test has put it there')
  blob = opened
})

test('a thousand small ones cost a few requests, and the rest comes from the download', async () => {
  const ranges = Array.from({ length: 1_000 }, (_, i) => {
    const start = 9 * MIB + Math.floor((i * 38 * MIB) / 1_000)
    return { start, end: start + 1_000 }
  })
  const read = ranges.map(reading)
  for (let i = 0; i < 40; i += 1) {
    await settled()
    for (const tap of ahead()) answer(tap)
  }
  expect(ahead().length).toBeLessThanOrEqual(32)
  finish()
  await Promise.all(read)
})

test('those side by side share one request, whoever asks first', async () => {
  const footer = { start: SIZE - 51, end: SIZE }
  const table = { start: SIZE - 100_000, end: SIZE - 51 }
  const read = [footer, table, footer].map(reading)
  await settled()
  for (const tap of ahead()) answer(tap)
  await Promise.all(read)
  await reading({ start: SIZE - 200_000, end: SIZE - 150_000 })
  expect(ahead()).toHaveLength(1)
})

test('a large one is passed on while it comes, from a request of its own', async () => {
  const range = { start: 20 * MIB, end: 22 * MIB }
  const bytes = blob.read(range)[Symbol.asyncIterator]()
  const first = bytes.next()
  await settled()
  const [tap] = ahead()
  expect(tap?.range).toEqual(range)
  tap?.push(BYTES.subarray(range.start, range.start + 10))
  expect((await first).value).toEqual(BYTES.subarray(range.start, range.start + 10))
  await bytes.return?.()
})

test('one that the download reaches soon waits for it', async () => {
  for (let i = 0; i < 10; i += 1) {
    await clock.pass(100)
    upstream.taps[0]?.push(BYTES.subarray(i * MIB, (i + 1) * MIB))
  }
  await settled()
  const read = reading({ start: 25 * MIB, end: 25 * MIB + 100 })
  await settled()
  expect(ahead()).toHaveLength(0)
  finish(10 * MIB)
  await read
})

test('one whose request breaks goes on from the download', async () => {
  const range = { start: 20 * MIB, end: 20 * MIB + 100_000 }
  const read = reading(range)
  await settled()
  const [tap] = ahead()
  tap?.push(BYTES.subarray(20 * MIB, 20 * MIB + 50_000))
  await settled()
  tap?.fail(new Error('broken'))
  finish()
  await read
})

test('requests beside downloads are given back by readers that leave', async () => {
  for (let i = 0; i < 10; i += 1) {
    const start = (10 + i) * MIB
    const bytes = blob.read({ start, end: start + MIB })[Symbol.asyncIterator]()
    const first = bytes.next()
    await settled()
    const tap = ahead().at(-1)
    tap?.push(BYTES.subarray(start, start + 10))
    await first
    await bytes.return?.()
  }
  expect(ahead()).toHaveLength(10)
})

/** Reads a range and checks it. */
async function reading(range: ByteRange): Promise<void> {
  const bytes = await collect(blob.read(range), SIZE)
  const isRight = Buffer.from(bytes).equals(BYTES.subarray(range.start, range.end))
  expect(isRight, `bytes ${range.start} to ${range.end}`).toBe(true)
}

function ahead(): Tap[] {
  return upstream.taps.slice(1)
}

function answer(tap: Tap): void {
  if (tap.isOver || tap.range === undefined) return
  tap.push(BYTES.subarray(tap.range.start, tap.range.end))
  tap.end()
}

function finish(from = 0): void {
  upstream.taps[0]?.push(BYTES.subarray(from))
  upstream.taps[0]?.end()
}
