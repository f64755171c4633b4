/** Turns at work among processes: who does it, who waits, and who takes over. */
import { describe, expect, it } from 'vitest'
import type { OwnFlight } from '../../../src/ports/shared-flights.ts'
import { LeasedFlights } from '../../../src/store/leased-flights.ts'
import { TableLeases } from '../../../src/store/table-leases.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'
import { MemoryLeaseTable, MemoryNotices } from '../../helpers/memory-leases.ts'
import { settled } from '../../helpers/tap-upstream.ts'

const TTL = 6_000

describe('work that several processes want', () => {
  it('is done by one of them, and found by the others when it is done', async () => {
    const { flights } = start(3)
    const { work, done, finish } = task()
    const all = flights.map((one) => one.once('x', { find: async () => done.at(-1), work }))
    await settled()
    finish()

    expect(new Set(await Promise.all(all)).size).toBe(1)
    expect(done).toHaveLength(1)
  })

  it('is looked for once more by whoever gets the turn, for it may have been done just now', async () => {
    const { flights } = start(1)
    const made = { made: 'elsewhere' }
    expect(await flights[0]?.once('x', { find: async () => made, work: unasked })).toBe(made)
  })

  it('is done by the next one when the first fails, which that one alone hears of', async () => {
    const { flights } = start(2)
    const { work, done, finish, fail } = task()
    const [first, second] = flights.map((one) =>
      one.once('x', { find: async () => done.at(-1), work }),
    )
    await settled()
    fail()
    await expect(first).rejects.toThrow('failed')
    await settled()
    finish()

    expect(await second).toBe(done[0])
  })

  it('is done by another one when the limit of who died has passed, and not before', async () => {
    const { flights, clock, table } = start(2)
    const [dead, next] = flights
    await dead?.begin('x')
    table.isAway = true
    const { work, done, finish } = task()
    const waiting = next?.once('x', { find: async () => done.at(-1), work })
    await clock.pass(TTL - 1)
    table.isAway = false
    finish()
    await settled()
    expect(done).toEqual([])

    await clock.pass(2)
    expect(await waiting).toBe(done[0])
  })

  it('is said to be at its holder for as long as that holds it', async () => {
    const { flights } = start(2)
    const [one, other] = flights
    if (one === undefined || other === undefined) throw new Error('there are two')
    one.note = 'http://10.0.0.1:5002 key'
    const own = await one.begin('x')
    const others = await other.begin('x')
    if (own.kind !== 'own' || others.kind !== 'others') throw new Error('one after the other')
    expect(await others.note()).toBe('http://10.0.0.1:5002 key')

    own[Symbol.dispose]()
    await others.ended()
    expect(await others.note()).toBeUndefined()
  })

  it('can be begun again at once by who has just ended it', async () => {
    const { flights } = start(1)
    const first = (await flights[0]?.begin('x')) as OwnFlight
    first[Symbol.dispose]()
    expect(await flights[0]?.begin('x')).toMatchObject({ kind: 'own' })
  })

  it('is free for others as soon as its process has closed the store, and not begun there any more', async () => {
    const { flights } = start(2)
    const [closed, other] = flights
    await closed?.begin('x')
    await closed?.[Symbol.asyncDispose]()

    expect(await other?.begin('x')).toMatchObject({ kind: 'own' })
    await expect(closed?.begin('y')).rejects.toThrow('closed')
  })
})

/** Renewals fail while it is away. */
class Table extends MemoryLeaseTable {
  isAway = false

  override async extend(name: string, token: number, ttlMs: number): Promise<boolean> {
    if (this.isAway) throw new Error('away')
    return await super.extend(name, token, ttlMs)
  }
}

function start(count: number) {
  const clock = new ManualClock()
  const table = new Table()
  table.now = () => clock.monotonic()
  const notices = new MemoryNotices()
  const leases = new TableLeases(table, notices, clock)
  const flights = Array.from(
    { length: count },
    () => new LeasedFlights({ leases, clock, ttlMs: TTL }),
  )
  return { clock, table, flights }
}

function task() {
  const done: object[] = []
  let step = Promise.withResolvers<void>()
  return {
    done,
    finish: () => step.resolve(),
    fail: () => {
      const failed = step
      step = Promise.withResolvers()
      failed.reject(new Error('it failed'))
    },
    work: async () => {
      await step.promise
      const made = {}
      done.push(made)
      return made
    },
  }
}

async function unasked(): Promise<never> {
  throw new Error('nobody asks for this here')
}
