/** What every pair of Leases and Notices must do, between clients whose clocks are minutes apart. */
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Clock } from '../../src/ports/clock.ts'
import type { Lease, Leases, Notice, Notices } from '../../src/ports/leases.ts'

export interface Client extends AsyncDisposable {
  readonly leases: Leases
  readonly notices: Notices
}

export interface LeasesUnderTest extends AsyncDisposable {
  /** One more client of the same engine, as another process would be one. */
  client(clock: Clock): Promise<Client>
  /** Lets time pass on the engine's clock. */
  pass(ms: number): Promise<void>
  /** Names that it knows, held or not. */
  names(): Promise<number>
}

const LONG = 60_000
const HOUR = 60 * 60_000

export function describeLeases(name: string, open: () => Promise<LeasesUnderTest>): void {
  describe(`leases ${name}`, () => {
    const owned = new Set<AsyncDisposable>()
    afterEach(async () => {
      for (const one of [...owned].reverse()) await one[Symbol.asyncDispose]()
      owned.clear()
    })
    const start: Start = async (count) => {
      const engine = await open()
      owned.add(engine)
      const clients: Client[] = []
      for (let i = 0; i < count; i += 1) clients.push(await engine.client(clockAhead(i * 600_000)))
      for (const one of clients) owned.add(one)
      const [a = missing(), b = a] = clients
      const names = () => engine.names()
      return { a, b, clients, names, pass: (ms) => engine.pass(ms) }
    }

    describeHolding(start)
    describeForgetting(start)
    describeMadeUp(start)
    describeWaiting(start)
    describeTogether(start)
    describeNotices(start)
  })
}

type Start = (count: number) => Promise<{
  readonly a: Client
  readonly b: Client
  readonly clients: readonly Client[]
  pass(ms: number): Promise<void>
  names(): Promise<number>
}>

function describeHolding(start: Start): void {
  it('gives a name to one holder at a time', async () => {
    const { a, b } = await start(2)

    const held = await a.leases.acquire('x', LONG)

    expect(held?.name).toBe('x')
    expect(await a.leases.acquire('x', LONG)).toBeUndefined()
    expect(await b.leases.acquire('x', LONG)).toBeUndefined()
    expect(await b.leases.acquire('y', LONG)).toBeDefined()
    expect(await b.leases.isCurrent('x', held?.token ?? 0)).toBe(true)
  })

  it('tells others what the holder says of itself, as long as it holds', async () => {
    const { a, b, pass } = await start(2)

    const held = await a.leases.acquire('x', LONG, 'at 10.0.0.1:5002 with a key')
    await a.leases.acquire('y', LONG)

    expect(await b.leases.find('x')).toEqual({
      token: held?.token,
      note: 'at 10.0.0.1:5002 with a key',
    })
    expect(await b.leases.find('y')).toMatchObject({ note: '' })
    expect(await b.leases.find('z')).toBeUndefined()
    await held?.release()
    expect(await b.leases.find('x')).toBeUndefined()
    await pass(LONG)
    expect(await b.leases.find('y')).toBeUndefined()
  })

  it('lets the next one in when it is released, with a larger token', async () => {
    const { a, b } = await start(2)
    const first = await taken(a, 'x')

    await first.release()
    const second = await taken(b, 'x')

    expect(second.token).toBeGreaterThan(first.token)
    expect(await a.leases.isCurrent('x', first.token)).toBe(false)
    expect(await a.leases.isCurrent('x', second.token)).toBe(true)
  })

  it('lets the next one in at the limit, and whoever wakes up then finds its token stale', async () => {
    const { a, b, pass } = await start(2)
    const stopped = await taken(a, 'x')

    await pass(LONG)
    const next = await taken(b, 'x')

    expect(next.token).toBeGreaterThan(stopped.token)
    expect(await a.leases.isCurrent('x', stopped.token)).toBe(false)
    expect(await stopped.renew(LONG)).toBe(false)
    await stopped.release()
    expect(await b.leases.isCurrent('x', next.token)).toBe(true)
    expect(await next.renew(LONG)).toBe(true)
  })

  it('never gives back what has passed its limit, though nobody took it', async () => {
    const { a, pass } = await start(1)
    const held = await taken(a, 'x')

    await pass(LONG)

    expect(await held.renew(LONG)).toBe(false)
    expect(await a.leases.isCurrent('x', held.token)).toBe(false)
    expect(held.heldUntil).toBeLessThan(systemClock.monotonic())
  })

  it('lasts from its last renewal on', async () => {
    const { a, b, pass } = await start(2)
    const held = await taken(a, 'x')

    await pass(LONG / 2)
    expect(await held.renew(LONG)).toBe(true)
    await pass(LONG / 2 + 1)

    expect(await b.leases.acquire('x', LONG)).toBeUndefined()
    expect(held.heldUntil).toBeGreaterThan(systemClock.monotonic())
    await pass(LONG / 2)
    expect(await b.leases.acquire('x', LONG)).toBeDefined()
  })
}

/** When names are made up, as those of digests that nobody has. */
function describeForgetting(start: Start): void {
  const takeMany = async ({ leases }: Client, what: string) => {
    for (let i = 0; i < 100; i += 1) await (await leases.acquire(`${what} ${i}`, LONG))?.release()
  }

  it('forgets what has ended long ago while others are taken, and nothing that is held', async () => {
    const { a, b, pass, names } = await start(2)
    const held = await taken(a, 'x')
    await takeMany(a, 'made up')
    for (let i = 0; i < 50; i += 1) await a.leases.acquire(`never released ${i}`, LONG)
    expect(await held.renew(3 * HOUR)).toBe(true)

    await pass(2 * HOUR)
    await takeMany(a, 'later')

    expect(await names()).toBeLessThanOrEqual(101)
    expect(await b.leases.acquire('x', LONG)).toBeUndefined()
    expect(await held.renew(LONG)).toBe(true)
  })

  it('gives a name that was forgotten a larger token than any before', async () => {
    const { a, b, pass } = await start(2)
    const first = await taken(a, 'x')

    await pass(2 * HOUR)
    await takeMany(b, 'later')
    expect(await first.renew(LONG)).toBe(false)
    const second = await taken(b, 'x')

    expect(second.token).toBeGreaterThan(first.token)
    await first.release()
    expect(await a.leases.isCurrent('x', second.token)).toBe(true)
  })
}

function describeMadeUp(start: Start): void {
  it('knows no more than some hundred names, however many clients make up', async () => {
    const { a, names } = await start(1)
    const most: number[] = []
    for (let i = 0; i < 1_000; i += 1) {
      await (await a.leases.acquire(`blob made up ${i}`, LONG))?.release()
      if (i % 50 === 0) most.push(await names())
    }
    expect(Math.max(...most, await names())).toBeLessThanOrEqual(101)
  })

  it('gives a name that is taken again and again a larger token, also when it was forgotten in between', async () => {
    const { a, b } = await start(2)
    let last = 0
    for (let round = 0; round < 3; round += 1) {
      for (let i = 0; i < 20; i += 1) {
        const lease = await taken(i % 2 === 0 ? a : b, 'busy')
        expect(lease.token).toBeGreaterThan(last)
        last = lease.token
        await lease.release()
      }
      for (let i = 0; i < 100; i += 1)
        await (await a.leases.acquire(`${round} ${i}`, LONG))?.release()
    }
  })
}

function describeWaiting(start: Start): void {
  it('tells who waits when it is released, long before the limit', async () => {
    const { a, b } = await start(2)
    const held = await taken(a, 'x')
    const free = b.leases.untilFree('x', AbortSignal.timeout(10_000))

    await held.release()

    await expect(free).resolves.toBeUndefined()
    expect(await b.leases.acquire('x', LONG)).toBeDefined()
  })

  it('tells who waits at the limit, when the holder is gone without a word', async () => {
    const { a, b } = await start(2)
    await a.leases.acquire('x', 150)
    await a[Symbol.asyncDispose]()

    await b.leases.untilFree('x', AbortSignal.timeout(10_000))

    expect(await b.leases.acquire('x', LONG)).toBeDefined()
  })

  it('waits for nothing where nobody holds it, and no longer than its signal', async () => {
    const { a, b } = await start(2)
    await b.leases.untilFree('x', AbortSignal.timeout(10_000))
    await taken(a, 'x')
    const reason = new Error('enough')
    const patience = new AbortController()
    const free = b.leases.untilFree('x', patience.signal)

    patience.abort(reason)

    await expect(free).rejects.toBe(reason)
  })
}

function describeTogether(start: Start): void {
  it('gives it to exactly one of many who ask at once', async () => {
    const { clients } = await start(5)
    const tokens: number[] = []

    for (let round = 0; round < 10; round += 1) {
      const asked = await Promise.all(
        clients.flatMap(({ leases }) => [leases.acquire('x', LONG), leases.acquire('x', LONG)]),
      )
      const held = asked.filter((one) => one !== undefined)
      expect(held).toHaveLength(1)
      for (const one of held) {
        tokens.push(one.token)
        await one.release()
      }
    }

    expect(tokens).toEqual([...new Set(tokens)].sort((x, y) => x - y))
  })

  it('does what a model of it says, whatever its clients do', async () => {
    const { clients, pass } = await start(3)
    let world = 0

    await fc.assert(
      fc.asyncProperty(fc.array(STEP, { minLength: 5, maxLength: 25 }), async (steps) => {
        world += 1
        await followModel(clients, pass, steps, `world ${world}`)
      }),
      { numRuns: 15 },
    )
  })
}

/** Time passes in pieces of ten minutes, so that what the test itself takes counts for nothing. */
const UNIT = 600_000
const STEP = fc.record({
  client: fc.nat({ max: 2 }),
  name: fc.constantFrom('x', 'y'),
  act: fc.oneof(
    fc.record({ kind: fc.constant('acquire' as const), units: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('renew' as const), units: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('release' as const), units: fc.constant(0) }),
    fc.record({ kind: fc.constant('pass' as const), units: fc.integer({ min: 1, max: 3 }) }),
  ),
})
type Step = typeof STEP extends fc.Arbitrary<infer T> ? T : never

async function followModel(
  clients: readonly Client[],
  pass: (ms: number) => Promise<void>,
  steps: readonly Step[],
  world: string,
): Promise<void> {
  let now = 0
  /** By name: who holds it until when. */
  const model = new Map<string, { readonly lease: Lease; readonly until: number }>()
  /** By client and name: what it last acquired, held or not. */
  const last = new Map<string, Lease>()
  const isHeld = (name: string) => (model.get(name)?.until ?? 0) > now
  for (const { client, name: short, act } of steps) {
    const name = `${world} ${short}`
    const own = last.get(`${client} ${name}`)
    const isOwn = isHeld(name) && model.get(name)?.lease === own
    if (act.kind === 'pass') {
      now += act.units
      await pass(act.units * UNIT)
    } else if (act.kind === 'acquire') {
      const got = await clients[client]?.leases.acquire(name, act.units * UNIT - UNIT / 2)
      expect(got === undefined).toBe(isHeld(name))
      if (got === undefined) continue
      expect(got.token).toBeGreaterThan(model.get(name)?.lease.token ?? 0)
      model.set(name, { lease: got, until: now + act.units })
      last.set(`${client} ${name}`, got)
    } else if (act.kind === 'renew') {
      expect((await own?.renew(act.units * UNIT - UNIT / 2)) ?? isOwn).toBe(isOwn)
      if (isOwn && own) model.set(name, { lease: own, until: now + act.units })
    } else {
      await own?.release()
      if (isOwn && own) model.set(name, { lease: own, until: now })
    }
    for (const one of last.values()) {
      const isCurrent = isHeld(one.name) && model.get(one.name)?.lease === one
      expect(await clients[0]?.leases.isCurrent(one.name, one.token)).toBe(isCurrent)
    }
  }
}

function describeNotices(start: Start): void {
  it('tells everybody who listens to a topic, in order, and nobody else', async () => {
    const { a, b } = await start(2)
    const [atA, atB, other] = [heard(), heard(), heard()]
    using _a = await a.notices.subscribe('x', atA.told)
    using _b = await b.notices.subscribe('x', atB.told)
    using _c = await b.notices.subscribe('y', other.told)

    await a.notices.publish('x', 'first, with ünicode and "quotes"')
    await a.notices.publish('x', 'second')
    await a.notices.publish('y', 'end')
    await Promise.all([atA.has(2), atB.has(2), other.has(1)])

    for (const { texts } of [atA, atB]) {
      expect(texts).toEqual(['first, with ünicode and "quotes"', 'second'])
    }
    expect(other.texts).toEqual(['end'])
  })

  it('tells nothing that was said before or after somebody listened', async () => {
    const { a, b } = await start(2)
    const [early, late] = [heard(), heard()]
    const first = await b.notices.subscribe('x', early.told)
    await a.notices.publish('x', 'one')
    await early.has(1)
    first[Symbol.dispose]()
    await a.notices.publish('x', 'two')
    using _ = await b.notices.subscribe('x', late.told)
    await a.notices.publish('x', 'three')
    await late.has(1)

    expect([early.texts, late.texts]).toEqual([['one'], ['three']])
  })

  it('goes on telling, the others too, when one that listens throws', async () => {
    const { a, b } = await start(2)
    const sound = heard()
    using _a = await b.notices.subscribe('x', () => {
      throw new Error('it cannot take this')
    })
    using _b = await b.notices.subscribe('x', sound.told)

    await a.notices.publish('x', 'one')
    await b.notices.publish('x', 'two')
    await sound.has(2)

    expect(sound.texts).toEqual(['one', 'two'])
  })
}

function heard() {
  const texts: string[] = []
  let changed = Promise.withResolvers<void>()
  return {
    texts,
    told(notice: Notice) {
      texts.push(notice.kind === 'gap' ? '(gap)' : notice.text)
      changed.resolve()
      changed = Promise.withResolvers()
    },
    async has(count: number) {
      while (texts.length < count) await changed.promise
    },
  }
}

async function taken({ leases }: Client, name: string): Promise<Lease> {
  return (await leases.acquire(name, LONG)) ?? missing()
}

function missing(): never {
  throw new Error('nobody gave it')
}

/** A machine whose clock is wrong; durations pass as everywhere. */
function clockAhead(ms: number): Clock {
  return { ...systemClock, now: () => Date.now() + ms }
}
