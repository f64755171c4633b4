/** What a matcher finds by itself in contents of every kind, with flushes, slides and surprises: to hold one to another. */
import fc from 'fast-check'
import { type Matcher, type Run, UNKNOWN } from '../../src/codec/restore/model.ts'
import { PLAIN_SIZE } from '../../src/codec/restore/plain-window.ts'
import { seededBytes, seededText } from './bytes.ts'

/** So low that places are counted from anew now and then. */
export const LAST_SHIFT: number = 2 ** 17
const SLIDE = 64 * 1024

export const anyPlaces: fc.Arbitrary<number[]> = fc
  .array(fc.integer({ min: 1, max: 200_000 }), { maxLength: 4 })
  .map((places) => [...new Set(places)].sort((a, b) => a - b))

/** Words of few letters, noise, runs; the same again. */
export const anyMatched: fc.Arbitrary<Buffer> = fc
  .array(
    fc.record({ kind: fc.nat(3), size: fc.integer({ min: 1, max: 30_000 }), seed: fc.nat(2) }),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => Buffer.concat(parts.map(partOf)))

function partOf({ kind, size, seed }: { kind: number; size: number; seed: number }): Buffer {
  if (kind === 0) return seededText(size, `${seed}`)
  if (kind === 1) return seededBytes(size, `${seed}`)
  if (kind === 2) return Buffer.alloc(size, `${'ab'.repeat(seed)}c`)
  return seededBytes(size, `${seed}`).map((byte) => 97 + (byte & 3)) as Buffer
}

/** All tokens, with a flush at each place. */
export function tokensOf(
  matcher: Matcher,
  content: Uint8Array,
  flushes: readonly number[],
): number[] {
  const plain = new Uint8Array(PLAIN_SIZE)
  plain.set(content)
  const view = new DataView(plain.buffer)
  const all: number[] = []
  let gone = 0
  let at = 0
  matcher.begin(0, 'member')
  const ends = [...flushes.filter((end) => end < content.byteLength), content.byteLength]
  for (const end of ends) {
    if (at > 0) matcher.begin(at, 'segment')
    const run = runOf(plain, view, at, end - gone)
    while (run.at < run.limit) matcher.run(run)
    all.push(...run.tokens.subarray(0, run.count))
    at = run.at
    if (at < 2 * SLIDE) continue
    plain.copyWithin(0, SLIDE)
    matcher.slide(SLIDE)
    gone += SLIDE
    at -= SLIDE
  }
  return all
}

function runOf(plain: Uint8Array, view: DataView, at: number, end: number): Run {
  const tokens = new Uint32Array(end - at + 1).fill(UNKNOWN)
  // Where the model is told otherwise, it goes on from there.
  for (let place = 100; place < tokens.length; place += 5000) tokens[place] = 7
  return {
    ...{ plain, view, start: 0, at, limit: end, end, isEnd: true },
    ...{ tokens, count: 0, countLimit: tokens.length },
    miss: (count) => tokens[count] ?? 0,
  }
}
