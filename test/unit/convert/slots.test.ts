/** Slots of conversions: who holds one, who waits, and who makes room. */
import { describe, expect, test } from 'vitest'
import { Slots } from '../../../src/convert/slots.ts'
import type { Turn } from '../../../src/convert/turn.ts'
import type { Interest } from '../../../src/lib/interest.ts'
import type { BlobWriter } from '../../../src/ports/blobs.ts'
import { MemoryBlobs } from '../../helpers/memory-blobs.ts'
import { wantedBy } from '../../helpers/waiters.ts'

const NEVER = { starvingMs: 1, othersMs: 1_000_000 }
const AT_ONCE = { starvingMs: 1_000_000, othersMs: 0 }

describe('a conversion whose source does not come', () => {
  test('lets others have its slot, and goes on when the source does', async () => {
    const slots = new Slots({ jobs: 1 }, NEVER)
    const source = await growing()
    const slow = slots.run(task('sick'), (turn) => drain(turn, source))
    await source.write(new Uint8Array(100_000))

    const quick = await slots.run(task('well'), async () => 'done')

    expect(quick).toEqual({ kind: 'done', value: 'done' })
    await source.write(new Uint8Array(400_000))
    await source.commit()
    expect(await slow).toEqual({ kind: 'done', value: 500_000 })
  })

  test('makes room when too many have begun, the one that nobody waits for first', async () => {
    const slots = new Slots({ jobs: 1 }, NEVER)
    const interests = [wantedBy('a'), wantedBy(), wantedBy('b')]
    const sources = await Promise.all(interests.map(growing))
    const slow = sources.map((source, i) =>
      slots.run(task('sick', interests[i]), (turn) => drain(turn, source)),
    )
    for (const source of sources) await source.write(new Uint8Array(100_000))
    const firstEnded = Promise.race(slow.map((one, i) => one.then(() => i)))

    const quick = await slots.run(task('well', wantedBy('c')), async () => 'done')

    expect(quick.kind).toBe('done')
    expect(await firstEnded).toBe(1)
    expect(await slow[1]).toEqual({ kind: 'set-back' })
    for (const source of sources) await source.write(new Uint8Array(400_000))
    for (const source of sources) await source.commit()
    expect(await slow[0]).toEqual({ kind: 'done', value: 500_000 })
    expect(await slow[2]).toEqual({ kind: 'done', value: 500_000 })
  })

  test('fails with its source', async () => {
    const slots = new Slots({ jobs: 1 }, NEVER)
    const source = await growing()
    const slow = slots.run(task('sick'), (turn) => drain(turn, source))
    slow.catch(() => undefined)
    await source.write(new Uint8Array(100_000))
    await slots.run(task('well'), async () => 'done')
    await source.abort(new Error('it broke'))

    await expect(slow).rejects.toThrow('it broke')
    expect((await slots.run(task('well'), async () => 'done')).kind).toBe('done')
  })
})

describe('a slot', () => {
  test('goes from one client to the next between two pieces, so that no long work is in the way of a short one', async () => {
    const slots = new Slots({ jobs: 1 }, AT_ONCE)
    const done: string[] = []
    const long = slots
      .run(task('u', wantedBy('long')), (turn) => drain(turn, pieces(50), undefined))
      .then(() => done.push('long'))
    const short = slots
      .run(task('u', wantedBy('short')), (turn) => drain(turn, pieces(2), undefined))
      .then(() => done.push('short'))

    await Promise.all([long, short])

    expect(done).toEqual(['short', 'long'])
  })

  test('stays with its conversion while nobody else waits', async () => {
    const slots = new Slots({ jobs: 1 }, AT_ONCE)
    expect(await slots.run(task('u'), (turn) => drain(turn, pieces(50), undefined))).toEqual({
      kind: 'done',
      value: 50,
    })
  })

  test('is not waited for by a source that is being read ahead when its conversion ends', async () => {
    const slots = new Slots({ jobs: 1 }, AT_ONCE)
    const held = Promise.withResolvers<void>()
    const closed = Promise.withResolvers<void>()
    const source = async function* () {
      try {
        yield* pieces(10)
      } finally {
        closed.resolve()
      }
    }
    const first = slots.run(task('u', wantedBy('a')), async (turn) => {
      const bytes = turn.read(source(), undefined)
      void slots.run(task('u', wantedBy('b')), () => held.promise)
      void bytes.next()
      await new Promise(setImmediate)
      void bytes.return(undefined)
    })
    await first
    await closed.promise
    held.resolve()
  })

  test('is wanted once by each conversion, however many clients wait for it', async () => {
    const slots = new Slots({ jobs: 1 }, NEVER)
    const wanted: number[] = []
    slots.onWanted((count) => wanted.push(count))
    const gate = Promise.withResolvers<void>()

    const all = ['a', 'b', 'c'].map(() =>
      slots.run(task('u', wantedBy('x', 'y', 'z')), () => gate.promise),
    )
    gate.resolve()
    await Promise.all(all)

    expect(wanted).toEqual([1, 2, 3, 2, 1, 0])
  })

  test('is given back by work that fails', async () => {
    const slots = new Slots({ jobs: 1 })
    await expect(slots.run(task('u'), () => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect((await slots.run(task('u'), async () => 1)).kind).toBe('done')
  })

  test('is one of so many, and one client begins no more than its share', async () => {
    const slots = new Slots({ jobs: 2 }, NEVER)
    let running = 0
    let most = 0
    const gate = Promise.withResolvers<void>()
    const work = async () => {
      running += 1
      most = Math.max(most, running)
      await gate.promise
      running -= 1
    }
    const all = Array.from({ length: 10 }, () => slots.run(task('u', wantedBy('a')), work))
    expect(slots.queued).toBe(8)
    gate.resolve()
    await Promise.all(all)
    expect(most).toBe(2)
  })
})

function task(upstream: string, interest: Interest = wantedBy('somebody')) {
  return { upstream, interest }
}

async function growing(): Promise<BlobWriter> {
  return await new MemoryBlobs().create({})
}

/** How many bytes come of a source, or of a blob while it grows. */
async function drain(
  turn: Turn,
  source: BlobWriter | AsyncIterable<Uint8Array>,
  blob = 'received' in source ? source : undefined,
): Promise<number> {
  let size = 0
  const bytes = 'received' in source ? source.read() : source
  for await (const chunk of turn.read(bytes, blob)) size += chunk.byteLength
  return size
}

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i += 1) yield new Uint8Array(1)
}
