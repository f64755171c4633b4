import { describe, expect, it } from 'vitest'
import { HeldLease, LEASE_LOST } from '../../../src/store/held-lease.ts'
import { TableLeases } from '../../../src/store/table-leases.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'
import { MemoryLeaseTable, MemoryNotices } from '../../helpers/memory-leases.ts'

const TTL = 9_000

describe('a lease that is kept', () => {
  it('is renewed for as long as somebody works under it', async () => {
    const { clock, leases } = start()
    const held = await take(leases, clock)

    await clock.pass(10 * TTL)

    expect(held.signal.aborted).toBe(false)
    expect(await leases.isCurrent('x', held.lease.token)).toBe(true)
    expect(await HeldLease.take(leases, clock, 'x', TTL)).toBeUndefined()
  })

  it('is free at once when the work is done', async () => {
    const { clock, leases } = start()
    const held = await take(leases, clock)

    await held[Symbol.asyncDispose]()

    expect(await HeldLease.take(leases, clock, 'x', TTL)).toBeDefined()
    expect(held.signal.aborted).toBe(false)
  })

  it('survives an engine that is away for less than its limit', async () => {
    const { clock, leases, table } = start()
    const held = await take(leases, clock)

    table.isAway = true
    await clock.pass(TTL / 2)
    table.isAway = false
    await clock.pass(5 * TTL)

    expect(held.signal.aborted).toBe(false)
  })

  it.each(['fails', 'hangs'] as const)(
    'is given up at its limit, not later, when the engine %s',
    async (how) => {
      const { clock, leases, table } = start()
      const held = await take(leases, clock)

      if (how === 'fails') table.isAway = true
      else table.isHanging = true
      await clock.pass(TTL - 1)
      expect(held.signal.aborted).toBe(false)
      await clock.pass(TTL / 3 + 1)

      expect(held.signal.reason).toMatchObject({ reason: LEASE_LOST })
    },
  )

  it('is given up at once when another one has it', async () => {
    const { clock, leases, table } = start()
    const held = await take(leases, clock)

    table.passed += TTL
    await leases.acquire('x', TTL)
    await clock.pass(TTL / 3)

    expect(held.signal.reason).toMatchObject({ reason: LEASE_LOST, retryAfter: 5 })
  })
})

class FlakyTable extends MemoryLeaseTable {
  isAway = false
  isHanging = false

  override async extend(name: string, token: number, ttlMs: number): Promise<boolean> {
    if (this.isAway) throw new Error('away')
    if (this.isHanging) await new Promise(() => undefined)
    return await super.extend(name, token, ttlMs)
  }
}

function start() {
  const clock = new ManualClock()
  const table = new FlakyTable()
  table.now = () => clock.monotonic() + table.passed
  return { clock, table, leases: new TableLeases(table, new MemoryNotices(), clock) }
}

async function take(leases: TableLeases, clock: ManualClock): Promise<HeldLease> {
  const held = await HeldLease.take(leases, clock, 'x', TTL)
  if (held === undefined) throw new Error('nobody gave it')
  return held
}
