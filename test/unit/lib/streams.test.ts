import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type ByteStream,
  collect,
  inPieces,
  join,
  limit,
  mapOrdered,
  peek,
  streamOf,
} from '../../../src/lib/streams.ts'

const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 })

/** A source that records whether it was ended. */
class Source<T> {
  pulled = 0
  isClosed = false
  readonly #items: Iterable<T>

  constructor(items: Iterable<T>) {
    this.#items = items
  }

  async *read(): AsyncGenerator<T> {
    try {
      for (const item of this.#items) {
        this.pulled += 1
        yield item
      }
    } finally {
      this.isClosed = true
    }
  }
}

async function* failing<T>(items: Iterable<T>, error: Error): AsyncGenerator<T> {
  yield* items
  throw error
}

async function list<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all = []
  for await (const item of items) all.push(item)
  return all
}

describe('collect', () => {
  it('gives all bytes in order', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, async (parts) => {
        const all = await collect(new Source(parts).read(), 10_000)
        expect(Buffer.from(all)).toEqual(Buffer.concat(parts))
      }),
    )
  })

  it('stops reading and throws badSize at the first byte too many', async () => {
    const source = new Source(Array.from({ length: 10 }, () => new Uint8Array(4)))
    await expect(collect(source.read(), 7)).rejects.toMatchObject({ kind: 'badSize' })
    expect(source.pulled).toBe(2)
    expect(source.isClosed).toBe(true)
  })

  it('takes exactly as many bytes as are allowed', async () => {
    expect((await collect(streamOf(new Uint8Array(7)), 7)).byteLength).toBe(7)
  })
})

describe('inPieces', () => {
  it('cuts the same pieces for any chunking', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.integer({ min: 1, max: 50 }), async (parts, size) => {
        const whole = Buffer.concat(parts)
        const pieces = await list(inPieces(new Source(parts).read(), size))
        expect(Buffer.concat(pieces)).toEqual(whole)
        expect(pieces.slice(0, -1).every((piece) => piece.byteLength === size)).toBe(true)
        expect(pieces.length).toBe(Math.ceil(whole.byteLength / size))
      }),
    )
  })
})

describe('join', () => {
  it('copies nothing when the parts lie side by side', () => {
    const buffer = new Uint8Array([1, 2, 3, 4, 5])
    const whole = join([buffer.subarray(1, 2), buffer.subarray(2, 4)])
    expect([...whole]).toEqual([2, 3, 4])
    buffer[1] = 9
    expect(whole[0]).toBe(9)
  })

  it('keeps the order of parts that lie elsewhere', () => {
    const buffer = new Uint8Array([1, 2, 3, 4])
    expect([...join([buffer.subarray(2, 4), buffer.subarray(0, 2)])]).toEqual([3, 4, 1, 2])
    expect([...join([buffer.subarray(0, 2), buffer.subarray(3, 4)])]).toEqual([1, 2, 4])
    expect([...join([])]).toEqual([])
  })
})

describe('peek', () => {
  it('shows the head and loses nothing', async () => {
    await fc.assert(
      fc.asyncProperty(chunks, fc.nat(100), async (parts, size) => {
        const whole = Buffer.concat(parts)
        const { head, rest } = await peek(new Source(parts).read(), size)
        expect(Buffer.from(head)).toEqual(whole.subarray(0, size))
        expect(Buffer.from(await collect(rest, 10_000))).toEqual(whole)
      }),
    )
  })

  it('ends its source when the rest is closed unread', async () => {
    const source = new Source([new Uint8Array(3), new Uint8Array(3)])
    const { rest } = await peek(source.read(), 2)
    await rest.return(undefined)
    expect(source.isClosed).toBe(true)
  })

  it('ends its source when the rest is left early', async () => {
    const source = new Source([new Uint8Array(3), new Uint8Array(3), new Uint8Array(3)])
    const { rest } = await peek(source.read(), 2)
    for await (const _ of rest) break
    expect(source.isClosed).toBe(true)
  })
})

describe('limit', () => {
  it('gives no byte beyond the limit', async () => {
    const failure = new Error('too much')
    const seen: number[] = []
    const read = async () => {
      const parts = [new Uint8Array(3), new Uint8Array(3)]
      for await (const part of limit(new Source(parts).read(), 5, () => failure)) {
        seen.push(part.byteLength)
      }
    }
    await expect(read()).rejects.toBe(failure)
    expect(seen).toEqual([3])
  })
})

describe('mapOrdered', () => {
  it('keeps the order whatever finishes first', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.integer(), { maxLength: 12 }),
        fc.integer({ min: 1, max: 5 }),
        async (scheduler, items, concurrency) => {
          const mapped = mapOrdered(
            new Source(items).read(),
            scheduler.scheduleFunction(async (item: number) => item * 2),
            concurrency,
          )
          const result = await scheduler.waitFor(list(mapped))
          expect(result).toEqual(items.map((item) => item * 2))
        },
      ),
    )
  })

  it('runs as many at a time as it may and no more', async () => {
    let running = 0
    let most = 0
    const work = async () => {
      running += 1
      most = Math.max(most, running)
      await new Promise(setImmediate)
      running -= 1
    }
    await list(mapOrdered(new Source(Array.from({ length: 20 }, (_, i) => i)).read(), work, 3))
    expect(most).toBe(3)
  })

  it('pulls no further than it has room for', async () => {
    const source = new Source(Array.from({ length: 20 }, (_, i) => i))
    const mapped = mapOrdered(source.read(), async (item) => item, 3)
    await mapped.next()
    for (let i = 0; i < 10; i++) await new Promise(setImmediate)
    expect(source.pulled).toBeLessThanOrEqual(4)
    await mapped.return(undefined)
    expect(source.isClosed).toBe(true)
  })

  it('throws what the source throws, after the results before it', async () => {
    const failure = new Error('source')
    const seen: number[] = []
    const read = async () => {
      for await (const item of mapOrdered(failing([1, 2, 3], failure), async (n) => n, 2)) {
        seen.push(item)
      }
    }
    await expect(read()).rejects.toBe(failure)
    expect(seen).toEqual([1, 2, 3])
  })

  it('throws what the work throws and ends the source', async () => {
    const failure = new Error('work')
    const source = new Source([1, 2, 3, 4, 5, 6])
    const work = async (n: number) => {
      if (n === 3) throw failure
      return n
    }
    await expect(list(mapOrdered(source.read(), work, 2))).rejects.toBe(failure)
    await new Promise(setImmediate)
    expect(source.isClosed).toBe(true)
  })

  it('can be left while its source hangs', async () => {
    const hanging: ByteStream = {
      async *[Symbol.asyncIterator]() {
        yield new Uint8Array(1)
        await new Promise(() => undefined)
      },
    }
    const mapped = mapOrdered(hanging, async (n) => n, 2)
    await mapped.next()
    await mapped.return(undefined)
  })
})
