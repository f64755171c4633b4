/** Slots for conversions that workers lend each other: one that is alone has all, and each has its part whenever it wants it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Slots } from '../../../src/convert/slots.ts'
import type { Turn } from '../../../src/convert/turn.ts'
import { LentSlots } from '../../../src/workers/lent-slots.ts'
import { wantedBy } from '../../helpers/waiters.ts'

const AT_ONCE = { starvingMs: 1_000_000, othersMs: 0 }
const UPSTREAM = 'u'

/** Of two workers that have two of four slots each. */
function workers() {
  const all = new Map([1, 2].map((number) => [number, new Slots({ jobs: 2 }, AT_ONCE)]))
  const lent = new LentSlots({
    workers: all.size,
    total: () => 4,
    tell: (number, count) => all.get(number)?.lend(count),
  })
  for (const [number, slots] of all) slots.onWanted((count) => lent.wants(number, count))
  const [one, other] = [...all.values()]
  if (one === undefined || other === undefined) throw new Error('there are two')
  return { one, other, lent }
}

/** Conversions that read, piece by piece, what `more` gives when it is called. */
function reading(slots: Slots, count: number) {
  const gates: PromiseWithResolvers<void>[] = []
  let pieces = 0
  const read = async (turn: Turn) => {
    for await (const _ of turn.read(source(gates), undefined)) pieces += 1
  }
  const runs = Array.from({ length: count }, () =>
    slots.run({ upstream: UPSTREAM, interest: wantedBy('a') }, read),
  )
  return {
    ended: Promise.all(runs),
    /** Conversions that wait for a piece: they have a slot. */
    get running() {
      return gates.length
    },
    more() {
      for (const gate of gates.splice(0)) gate.resolve()
    },
    get pieces() {
      return pieces
    },
  }
}

async function* source(gates: PromiseWithResolvers<void>[]) {
  for (let i = 0; i < 3; i += 1) {
    const gate = Promise.withResolvers<void>()
    gates.push(gate)
    await gate.promise
    yield new Uint8Array(1)
  }
}

const settled = () => new Promise(setImmediate)

test('a worker that converts alone has the slots of all', async () => {
  const { one } = workers()
  const work = reading(one, 6)
  await settled()
  expect(work.running).toBe(4)
})

test('a worker begins at once what is its part, and whoever had it goes back to its own', async () => {
  const { one, other } = workers()
  const long = reading(one, 4)
  await settled()

  const short = reading(other, 2)
  await settled()
  expect(short.running).toBe(2)
  long.more()
  await settled()
  expect(long.running).toBe(2)

  for (let i = 0; i < 3; i += 1) {
    short.more()
    await settled()
  }
  await short.ended
  expect(long.running).toBe(4)
  for (let i = 0; i < 3; i += 1) {
    long.more()
    await settled()
  }
  await long.ended
  expect(long.pieces).toBe(12)
})

test('what a worker had that has ended goes to the others', async () => {
  const { one, other, lent } = workers()
  reading(other, 2)
  const work = reading(one, 6)
  await settled()
  expect(work.running).toBe(2)

  lent.gone(2)
  await settled()
  expect(work.running).toBe(4)
})

test('nobody is lent what another one wants of its part, and nothing is kept that could be used', () => {
  const wishes = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat(40)), { maxLength: 30 })
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), wishes, (total, said) => {
      const lent = new Map<number, number>()
      const wanted = new Map<number, number>()
      const slots = new LentSlots({
        workers: 4,
        total: () => total,
        tell: (worker, count) => lent.set(worker, count),
      })
      const part = Math.ceil(total / 4)
      for (const [worker, count] of said) {
        slots.wants(worker, count)
        wanted.set(worker, count)
        const used = [...wanted].map(([one, want]) => Math.min(want, part + (lent.get(one) ?? 0)))
        const sum = used.reduce((a, b) => a + b, 0)
        const wish = [...wanted.values()].reduce((a, b) => a + b, 0)
        // Parts are rounded up, so that all of them may be more than there are.
        expect(sum).toBeGreaterThanOrEqual(Math.min(total, wish))
        expect(sum).toBeLessThanOrEqual(Math.max(total, part * wanted.size))
        for (const [one, want] of wanted) {
          expect(lent.get(one) ?? 0).toBeLessThanOrEqual(Math.max(0, want - part))
        }
      }
    }),
  )
})
