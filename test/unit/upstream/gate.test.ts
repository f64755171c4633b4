import { describe, expect, test } from 'vitest'
import { Gate } from '../../../src/upstream/gate.ts'

const A = 'https://a.example'
const B = 'https://b.example'

function setUp(policy: { places?: number; queue?: number; waitMs?: number } = {}) {
  const gate = new Gate({ places: 4, queue: 3, waitMs: 60_000, ...policy })
  const entered: string[] = []
  const enter = async (origin: string, isLong = false, signal?: AbortSignal) => {
    const leave = await gate.enter({ origin, isLong, signal })
    entered.push(origin)
    return leave
  }
  return { gate, enter, entered }
}

describe('places of one origin', () => {
  test('are all that is under way; others wait, and go on in their order', async () => {
    const { enter } = setUp()
    const leaves = await Promise.all([enter(A), enter(A), enter(A), enter(A)])
    const order: number[] = []
    const waiting = [1, 2, 3].map(async (n) => {
      const leave = await enter(A)
      order.push(n)
      leave()
    })
    await expect(enter(A)).rejects.toMatchObject({
      kind: 'overloaded',
      retryAfter: 5,
      message: expect.stringContaining('a.example') as string,
    })
    expect(await enter(B)).toBeTypeOf('function')
    expect(order).toEqual([])

    leaves[0]?.()
    leaves[0]?.()
    await Promise.all(waiting)
    expect(order).toEqual([1, 2, 3])
  })

  test('are never all taken by what takes long', async () => {
    const { enter } = setUp()
    const [leave] = await Promise.all([enter(A, true), enter(A, true), enter(A, true)])
    const fourth = enter(A, true)

    const short = await enter(A)
    short()
    leave?.()
    expect(await fourth).toBeTypeOf('function')
  })

  test('are given to lines by turns, when all together have no more', async () => {
    const { enter, entered } = setUp({ places: 1 })
    const hosts = ['1', '2', '3', '4'].map((n) => `https://${n}.example`)
    const leaves = await Promise.all(hosts.map((host) => enter(host)))
    entered.length = 0
    const waiting = [A, A, A, B].map((host) => enter(host).then((leave) => leave()))

    leaves[0]?.()
    await Promise.all(waiting)
    expect(entered).toEqual([A, B, A, A])
  })
})

describe('waiting', () => {
  test('ends with the signal, and with time, and leaves no place behind', async () => {
    const { gate, enter } = setUp({ places: 1, waitMs: 20 })
    const leave = await enter(A)
    const abort = new AbortController()
    const left = enter(A, false, abort.signal)
    abort.abort(new Error('gone'))

    await expect(left).rejects.toThrow('gone')
    await expect(enter(A)).rejects.toMatchObject({ kind: 'overloaded' })
    await expect(enter(A, false, abort.signal)).rejects.toThrow('gone')
    leave()
    expect(await gate.enter({ origin: A, isLong: true })).toBeTypeOf('function')
  })
})
