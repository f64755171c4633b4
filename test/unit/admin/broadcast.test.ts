/** Live state: read once for all viewers, told where it changes, not read while nobody looks. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Broadcast } from '../../../src/admin/broadcast.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function broadcastOf(parts: Record<string, object>) {
  const reads = { count: 0 }
  const broadcast = new Broadcast({
    read: async () => {
      reads.count += 1
      return parts
    },
    everyMs: 1_000,
    quietMs: 5_000,
  })
  return { broadcast, reads }
}

/** A viewer, and what it was told so far. */
function viewerOf(broadcast: Broadcast) {
  const over = new AbortController()
  const told: string[] = []
  const watching = (async () => {
    for await (const frame of broadcast.watch(over.signal)) told.push(Buffer.from(frame).toString())
  })()
  return { told, leave: () => over.abort(), watching }
}

describe('a broadcast', () => {
  it('tells all parts first, and then those that change', async () => {
    const parts: Record<string, object> = { a: { n: 1 }, b: { n: 1 } }
    const { broadcast } = broadcastOf(parts)
    const viewer = viewerOf(broadcast)
    await vi.advanceTimersByTimeAsync(0)
    expect(viewer.told).toEqual(['event: a\ndata: {"n":1}\n\n', 'event: b\ndata: {"n":1}\n\n'])

    parts.b = { n: 2 }
    await vi.advanceTimersByTimeAsync(1_000)
    expect(viewer.told.slice(2)).toEqual(['event: b\ndata: {"n":2}\n\n'])
    viewer.leave()
    await viewer.watching
  })

  it('reads once a tick for any number of viewers, and not at all without one', async () => {
    const { broadcast, reads } = broadcastOf({ a: {} })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(reads.count).toBe(0)

    const viewers = Array.from({ length: 10 }, () => viewerOf(broadcast))
    await vi.advanceTimersByTimeAsync(3_000)
    expect(reads.count).toBe(4)
    expect(viewers.map(({ told }) => told.length)).toEqual(Array(10).fill(1))

    for (const { leave } of viewers) leave()
    await Promise.all(viewers.map(({ watching }) => watching))
    await vi.advanceTimersByTimeAsync(10_000)
    expect(reads.count).toBe(4)
    expect(broadcast.viewers).toBe(0)
  })

  it('says now and then that nothing is new', async () => {
    const { broadcast } = broadcastOf({})
    const viewer = viewerOf(broadcast)
    await vi.advanceTimersByTimeAsync(5_000)

    expect(viewer.told).toEqual([': nothing new\n\n'])
    viewer.leave()
    await viewer.watching
  })

  it('goes on after a tick that failed', async () => {
    let isBroken = true
    const broadcast = new Broadcast({
      read: async () => {
        if (isBroken) throw new Error('the catalog is in repair')
        return { a: {} }
      },
      everyMs: 1_000,
      quietMs: 60_000,
    })
    const viewer = viewerOf(broadcast)
    await vi.advanceTimersByTimeAsync(0)
    isBroken = false
    await vi.advanceTimersByTimeAsync(1_000)

    expect(viewer.told).toEqual(['event: a\ndata: {}\n\n'])
    viewer.leave()
    await viewer.watching
  })

  it('keeps of each part the newest alone for who reads slowly', async () => {
    const parts: Record<string, object> = { a: { n: 1 } }
    const { broadcast } = broadcastOf(parts)
    const fast = viewerOf(broadcast)
    const over = new AbortController()
    const slow = broadcast.watch(over.signal)
    await vi.advanceTimersByTimeAsync(0)
    await slow.next()
    for (const n of [2, 3, 4]) {
      parts.a = { n }
      await vi.advanceTimersByTimeAsync(1_000)
    }

    const { value } = await slow.next()
    expect(Buffer.from(value ?? []).toString()).toContain('{"n":4}')
    over.abort()
    await slow.return(undefined)
    fast.leave()
    await fast.watching
  })
})
