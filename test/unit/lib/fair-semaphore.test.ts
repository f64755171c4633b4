/** Places that clients and upstreams share: turns, ceilings, and that no place stays empty that somebody may have. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairSemaphore, type Ticket } from '../../../src/lib/fair-semaphore.ts'

const WIDE = { perClient: 100, perUpstream: 100 }

describe('places', () => {
  test('go to clients in turn, however many wishes one has', () => {
    const places = new FairSemaphore({ ...WIDE, total: 1 })
    const busy = wish(places, 'greedy', 'u')
    const greedy = [1, 2, 3].map(() => wish(places, 'greedy', 'u'))
    const modest = wish(places, 'modest', 'u')

    expect(order(busy, [...greedy, modest])).toEqual([greedy[0], modest, greedy[1], greedy[2]])
  })

  test('go to the upstreams of one client in turn', () => {
    const places = new FairSemaphore({ ...WIDE, total: 1 })
    const busy = wish(places, 'a', 'x')
    const many = [1, 2, 3].map(() => wish(places, 'a', 'sick'))
    const other = wish(places, 'a', 'well')

    expect(order(busy, [...many, other])).toEqual([many[0], other, many[1], many[2]])
  })

  test('stay empty rather than to go beyond the share of a client or an upstream', () => {
    const places = new FairSemaphore({ total: 4, perClient: 2, perUpstream: 3 })
    const own = [1, 2, 3].map(() => wish(places, 'a', 'x'))
    expect(own.map((ticket) => ticket.isGranted)).toEqual([true, true, false])
    const others = [wish(places, 'b', 'x'), wish(places, 'b', 'x'), wish(places, 'c', 'y')]
    expect(others.map((ticket) => ticket.isGranted)).toEqual([true, false, true])
    own[0]?.release()
    expect([own[2], others[1]].map((ticket) => ticket?.isGranted)).toEqual([true, false])
  })

  test('are not counted as anybody’s share where no client waits', () => {
    const places = new FairSemaphore({ total: 3, perClient: 1, perUpstream: 3 })
    const own = [1, 2, 3].map(() => wish(places, undefined, 'x'))
    expect(own.every((ticket) => ticket.isGranted)).toBe(true)
  })

  test('come sooner when a client joins whose turn comes sooner', () => {
    const places = new FairSemaphore({ ...WIDE, total: 1 })
    const busy = wish(places, 'greedy', 'u')
    const greedy = [1, 2, 3].map(() => wish(places, 'greedy', 'u'))
    greedy[2]?.wantedBy('modest')

    expect(order(busy, greedy)).toEqual([greedy[0], greedy[2], greedy[1]])
  })

  test('say which of them would have to be given back for somebody', () => {
    const places = new FairSemaphore({ total: 3, perClient: 2, perUpstream: 2 })
    const [a1, a2, b] = [wish(places, 'a', 'x'), wish(places, 'a', 'y'), wish(places, 'b', 'x')]
    const own = wish(places, 'a', 'z')
    expect([a1, a2, b].map((held) => places.wouldFit(own, held))).toEqual([true, true, false])
    const other = wish(places, 'c', 'x')
    expect([a1, a2, b].map((held) => places.wouldFit(other, held))).toEqual([true, false, true])
  })
})

test('no ceiling is ever broken, no place stays empty that somebody may have, everybody gets one in the end', () => {
  const party = fc.record({
    client: fc.constantFrom('a', 'b', 'c', undefined),
    upstream: fc.constantFrom('x', 'y'),
    joiner: fc.option(fc.constantFrom('a', 'b', 'c')),
  })
  const step = fc.oneof(
    fc.record({ kind: fc.constant('wish' as const), party }),
    fc.record({ kind: fc.constant('release' as const), which: fc.nat() }),
  )
  const limits = fc.record({
    total: fc.integer({ min: 1, max: 5 }),
    perClient: fc.integer({ min: 1, max: 4 }),
    perUpstream: fc.integer({ min: 1, max: 4 }),
  })
  fc.assert(
    fc.property(limits, fc.array(step, { maxLength: 60 }), ({ total, ...shares }, steps) => {
      const places = new FairSemaphore({ total, ...shares })
      const tickets: { ticket: Ticket; upstream: string; clients: (string | undefined)[] }[] = []
      const check = () => {
        const held = tickets.filter(({ ticket }) => ticket.isGranted)
        expect(held.length).toBeLessThanOrEqual(total)
        for (const upstream of ['x', 'y']) {
          const own = held.filter((one) => one.upstream === upstream)
          expect(own.length).toBeLessThanOrEqual(shares.perUpstream)
        }
        for (const client of ['a', 'b', 'c']) {
          const own = held.filter(({ clients }) => clients.length === 1 && clients[0] === client)
          expect(own.length).toBeLessThanOrEqual(shares.perClient)
        }
        const hasFree = tickets.some(
          ({ ticket, upstream, clients }) =>
            !ticket.isGranted &&
            clients.includes(undefined) &&
            held.filter((one) => one.upstream === upstream).length < shares.perUpstream,
        )
        expect(hasFree && held.length < total).toBe(false)
      }
      for (const one of steps) {
        if (one.kind === 'wish') {
          const { client, upstream, joiner } = one.party
          const clients = [client, ...(joiner === null || joiner === client ? [] : [joiner])]
          const ticket = places.request(upstream)
          for (const who of clients) ticket.wantedBy(who)
          tickets.push({ ticket, upstream, clients })
        } else {
          const [gone] = tickets.splice(one.which % Math.max(1, tickets.length), 1)
          gone?.ticket.release()
        }
        check()
      }
      while (tickets.length > 0) {
        const at = tickets.findIndex(({ ticket }) => ticket.isGranted)
        expect(at).toBeGreaterThanOrEqual(0)
        for (const { ticket } of tickets.splice(at, 1)) ticket.release()
      }
      expect(places.queued).toBe(0)
    }),
  )
})

function wish(places: FairSemaphore, client: string | undefined, upstream: string): Ticket {
  const ticket = places.request(upstream)
  ticket.wantedBy(client)
  return ticket
}

/** In which order these get the one place, each giving it back at once. */
function order(first: Ticket, others: readonly Ticket[]): Ticket[] {
  const had: Ticket[] = []
  for (let holder: Ticket | undefined = first; holder; ) {
    holder.release()
    holder = others.find((one) => one.isGranted && !had.includes(one))
    if (holder !== undefined) had.push(holder)
  }
  return had
}
