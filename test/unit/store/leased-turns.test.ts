import { describe, expect, it } from 'vitest'
import { LeasedTurns } from '../../../src/store/leased-turns.ts'
import { TableLeases } from '../../../src/store/table-leases.ts'
import { ManualClock } from '../../helpers/manual-clock.ts'
import { MemoryLeaseTable, MemoryNotices } from '../../helpers/memory-leases.ts'

const TTL = 9_000

describe('a turn', () => {
  it('is had by one process after the other, each with a larger token', async () => {
    const { one, other } = start()
    const tokens: (number | undefined)[] = []
    const ended = Promise.withResolvers<void>()
    const first = one.take('x', async ({ fence }) => {
      tokens.push(fence?.token)
      await ended.promise
      tokens.push(fence?.token)
    })
    const second = other.take('x', async ({ fence }) => void tokens.push(fence?.token))
    await new Promise(setImmediate)

    ended.resolve()
    await Promise.all([first, second])

    const [a = 0, b, c] = tokens
    expect(b).toBe(a)
    expect(c).toBeGreaterThan(a)
  })

  it('goes to the next one when its holder stands still, who learns it when it wakes up', async () => {
    const { one, other, clock, own } = start()
    const asleep = Promise.withResolvers<void>()
    const first = one.take('x', async (turn) => {
      await asleep.promise
      // Its timers have not run yet.
      expect(turn.signal.aborted).toBe(false)
      turn.assertHeld()
    })
    await new Promise(setImmediate)

    await clock.pass(TTL + 1)
    expect(await other.take('x', async () => 'done')).toBe('done')
    own.jump(TTL + 1)
    asleep.resolve()

    await expect(first).rejects.toMatchObject({ reason: 'lease-lost' })
  })

  it('is waited for no longer than its signal', async () => {
    const { one, other } = start()
    const patience = new AbortController()
    const first = Promise.withResolvers<void>()
    const holding = one.take('x', () => first.promise)
    await new Promise(setImmediate)
    const waiting = other.take('x', async () => 'never', patience.signal)

    patience.abort(new Error('enough'))

    await expect(waiting).rejects.toThrow('enough')
    first.resolve()
    await holding
  })
})

function start() {
  const table = new MemoryLeaseTable()
  const notices = new MemoryNotices()
  const clock = new ManualClock()
  const own = new StoppedClock()
  table.now = () => clock.now()
  const turns = (by: ManualClock) =>
    new LeasedTurns(new TableLeases(table, notices, by), by, { ttlMs: TTL })
  return { clock, own, one: turns(own), other: turns(clock) }
}

/** Of a process that was stopped: time passes, and no timer runs. */
class StoppedClock extends ManualClock {
  #jumped = 0

  jump(ms: number): void {
    this.#jumped += ms
  }

  override monotonic(): number {
    return super.monotonic() + this.#jumped
  }
}
