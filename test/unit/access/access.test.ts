import { hashSync } from 'bcryptjs'
import { describe, expect, it } from 'vitest'
import { Access, parseBasic, subjectOf } from '../../../src/access/access.ts'
import { createBcrypt } from '../../../src/access/bcrypt.ts'
import { parseHtpasswd, Users } from '../../../src/access/htpasswd.ts'
import { Policy } from '../../../src/access/policy.ts'

const ALICE = hashSync('wonder:land', 4)
const OPEN = new Policy({ groups: {}, rules: [] })

function withCost(cost: number): string {
  return ALICE.replace('$04$', `$${String(cost).padStart(2, '0')}$`)
}

function basic(name: string, password: string) {
  const authorization = `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`
  return { authorization, certificate: undefined }
}

describe('htpasswd', () => {
  it('reads names and bcrypt hashes and passes comments over', () => {
    const users = parseHtpasswd('f', `# staff\n\nalice:${ALICE}\r\n`)

    expect([...users]).toEqual([['alice', ALICE]])
  })

  it.each([
    ['bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=', /f:1: the password of bob is no bcrypt hash/],
    [`alice:${ALICE}\nalice:${ALICE}`, /f:2: alice stands in the file twice/],
    ['no colon here', /f:1: must be name:hash/],
    [`:${ALICE}`, /f:1: must be name:hash/],
    [`slow:${ALICE.replace('$04$', '$20$')}`, /cost 20 is above 14/],
    [`old:${ALICE.replace(/^\$2.\$/, '$2x$')}`, /f:1: the password of old is no bcrypt hash/],
    [
      `x:${'y'.repeat(1e6)}`,
      /^f:1: the password of x is no bcrypt hash; make it with htpasswd -B$/,
    ],
    [`${'n'.repeat(300)}:${ALICE}`, /f:1: must be name:hash/],
  ])('refuses %j with its line', (text, message) => {
    expect(() => parseHtpasswd('f', text)).toThrow(message)
  })

  it('lets the right password in and keeps wrong ones and unknown names out', async () => {
    const users = new Users(new Map([['alice', ALICE]]), createBcrypt())
    const access = new Access({ mode: { mode: 'htpasswd', users }, policy: OPEN })

    await expect(access.identify(basic('alice', 'wonder:land'))).resolves.toMatchObject({
      name: 'alice',
    })
    for (const wrong of [basic('alice', 'x'), basic('mallory', 'wonder:land')]) {
      await expect(access.identify(wrong)).rejects.toMatchObject({ status: 401 })
    }
    const nothing = { authorization: undefined, certificate: undefined }
    await expect(access.identify(nothing)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('computes nothing for what bcrypt would cut off or never saw', async () => {
    const users = new Users(new Map([['alice', ALICE]]), async () => {
      throw new Error('was computed')
    })

    for (const [name, password] of [
      ['alice', 'p'.repeat(73)],
      ['alice', 'é'.repeat(37)],
      ['n'.repeat(256), 'p'],
    ] as const) {
      await expect(users.isRight(name, password)).resolves.toBe(false)
    }
  })

  it('does not take a password for another one that ends at a NUL', async () => {
    const users = new Users(new Map([['nul', hashSync('a', 4)]]), createBcrypt())

    await expect(users.isRight('nul', 'a\u0000b')).resolves.toBe(false)
    await expect(users.isRight('nul', 'a')).resolves.toBe(true)
  })

  it('computes a right password once for many requests', async () => {
    let computed = 0
    const users = new Users(new Map([['alice', ALICE]]), async (password) => {
      computed += 1
      return password === 'wonder:land'
    })

    await Promise.all(Array.from({ length: 50 }, () => users.isRight('alice', 'wonder:land')))
    await users.isRight('alice', 'wonder:land')
    expect(computed).toBe(1)
  })

  it.each([[[5, 5]], [[4, 12]], [[14, 10, 7]]])(
    'takes as much work for any wrong password as for an unknown name, with costs of %j',
    async (costs) => {
      let work = 0
      const hashes = costs.map((cost, i) => [`user${i}`, withCost(cost)] as const)
      const users = new Users(new Map(hashes), async (_password, hash) => {
        work += 2 ** Number(hash.slice(4, 6))
        return false
      })

      for (const name of ['nobody', ...hashes.map(([name]) => name)]) {
        work = 0
        await expect(users.isRight(name, 'x')).resolves.toBe(false)
        expect(work).toBe(2 ** Math.max(...costs))
      }
    },
  )

  it('lets nobody in who is not in the file, even by the dummy hash', async () => {
    const users = new Users(new Map([['alice', ALICE]]), async () => true)
    const asked = [users.isRight('nobody', 'x'), users.isRight('nobody', 'x')]

    await expect(Promise.all(asked)).resolves.toEqual([false, false])
  })

  it('gives one address a share of the waiting places and leaves the rest to others', async () => {
    const gate = Promise.withResolvers<void>()
    const users = new Users(new Map([['alice', ALICE]]), async (password) => {
      await gate.promise
      return password === 'wonder:land'
    })
    const storm = Array.from({ length: 100 }, (_, i) => users.isRight(`user${i}`, 'x', '192.0.2.1'))
    const stormed = Promise.allSettled(storm)
    const alice = users.isRight('alice', 'wonder:land', '192.0.2.2')
    gate.resolve()

    await expect(alice).resolves.toBe(true)
    const refused = (await stormed).filter((one) => one.status === 'rejected')
    expect(refused).toHaveLength(92)
    await expect(users.isRight('user1', 'x', '192.0.2.1')).resolves.toBe(false)
  })

  it('answers 503 instead of queueing a login storm without end', async () => {
    const gate = Promise.withResolvers<boolean>()
    const users = new Users(new Map(), () => gate.promise)
    const storm = Array.from({ length: 100 }, (_, i) => users.isRight(`user${i}`, 'x', `host${i}`))
    const failed = Promise.allSettled(storm)
    gate.resolve(false)

    const refused = (await failed).filter((one) => one.status === 'rejected')
    expect(refused.length).toBeGreaterThan(50)
    expect(refused[0]).toMatchObject({ reason: { status: 503 } })
  })

  it('checks a right password although many addresses send wrong ones without a break', async () => {
    let computed = 0
    const users = new Users(new Map([['alice', ALICE]]), async (password) => {
      computed += 1
      await new Promise((resolve) => setImmediate(resolve))
      return password === 'wonder:land'
    })
    let isOver = false
    const guesser = async (address: string) => {
      const guess = (i: number) => users.isRight('alice', `${address} ${i}`, address)
      for (let i = 0; !isOver; i += 8) {
        const eight = Array.from({ length: 8 }, (_, n) => guess(i + n))
        await Promise.allSettled(eight)
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    const guessers = Array.from({ length: 40 }, (_, i) => guesser(`192.0.2.${i}`))
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve))
    const before = computed

    await expect(users.isRight('alice', 'wonder:land', '198.51.100.1')).resolves.toBe(true)
    // Whoever guessed wrong stands behind: it had not even to wait for one check of each.
    expect(computed - before).toBeLessThan(50)
    isOver = true
    await Promise.all(guessers)
  })

  it('knows a wrong password for a while, so that whoever repeats it costs nothing', async () => {
    let computed = 0
    const users = new Users(new Map([['alice', ALICE]]), async () => {
      computed += 1
      return false
    })

    for (let i = 0; i < 100; i += 1) await users.isRight('alice', 'old', `192.0.2.${i}`)
    expect(computed).toBe(1)
  })

  it('lets clients take turns, so that one check waits for at most one of each other client', async () => {
    const order: string[] = []
    const users = new Users(new Map([['alice', ALICE]]), async (password) => {
      order.push(password)
      return false
    })
    const ask = (client: string, n: number) => users.isRight('alice', `${client}${n}`, client)
    const all = [
      ...Array.from({ length: 6 }, (_, n) => ask('a', n)),
      ...Array.from({ length: 3 }, (_, n) => ask('b', n)),
      ask('c', 0),
    ]
    await Promise.all(all)

    expect(order.indexOf('c0')).toBeLessThanOrEqual(4)
    expect(order.indexOf('b0')).toBeLessThanOrEqual(3)
  })
})

describe('client certificates', () => {
  it('names the principal by common name and its groups by organisational unit', async () => {
    const access = new Access({ mode: { mode: 'mtls' }, policy: OPEN })
    const certificate = { commonName: 'node-7', units: ['edge'] }

    await expect(access.identify({ authorization: undefined, certificate })).resolves.toEqual({
      name: 'node-7',
      groups: ['edge'],
    })
    await expect(
      access.identify({ authorization: undefined, certificate: undefined }),
    ).rejects.toMatchObject({ status: 401 })
  })
})

describe('the subject of a certificate', () => {
  it('has one common name or none that counts, and all its units', () => {
    expect(subjectOf({ CN: 'node-7', OU: ['edge', 'lab'] })).toEqual({
      commonName: 'node-7',
      units: ['edge', 'lab'],
    })
    expect(subjectOf({ CN: ['node-7', 'admin'] }).commonName).toBeUndefined()
    expect(subjectOf({})).toEqual({ commonName: undefined, units: [] })
  })

  it('is nobody else when it holds a glob or looks like a group', async () => {
    const rules = [{ who: ['admin', '@staff'], match: ['**'] }]
    const policy = new Policy({ groups: { staff: ['carol'] }, rules })
    for (const commonName of ['*', 'adm*', '@staff', '**', 'Admin', 'admin ']) {
      const certificate = { commonName, units: [] }
      const access = new Access({ mode: { mode: 'mtls' }, policy })
      const principal = await access.identify({ authorization: undefined, certificate })
      expect(() => access.authorize(principal, { repository: 'ghcr.io/acme/app' })).toThrow(
        /is not there/,
      )
    }
  })
})

describe('policy', () => {
  const policy = new Policy({
    groups: { dev: ['alice'] },
    rules: [
      { who: ['@dev'], match: ['ghcr.io/acme/**'], profiles: ['zstd', 'original'] },
      { who: ['*'], match: ['docker.io/library/*'] },
    ],
  })
  const alice = { name: 'alice', groups: [] }
  const bob = { name: 'bob', groups: [] }

  it.each([
    [alice, 'ghcr.io/acme/app', 'zstd', true],
    [alice, 'ghcr.io/acme/app', 'none', false],
    [alice, 'ghcr.io/acme/app', undefined, true],
    [alice, 'ghcr.io/acme/app', ['none', 'zstd'], true],
    [alice, 'ghcr.io/acme/app', [], false],
    [bob, 'ghcr.io/acme/app', 'zstd', false],
    [bob, 'docker.io/library/alpine', 'none', true],
    [bob, 'docker.io/bob/alpine', undefined, false],
    [{ name: 'bob', groups: ['dev'] }, 'ghcr.io/acme/a/b', undefined, true],
    [{ name: '@dev', groups: [] }, 'ghcr.io/acme/app', undefined, false],
  ])('%j asking for %s as %s is allowed: %s', (who, repository, profile, allowed) => {
    expect(policy.allows(who, { repository, profile })).toBe(allowed)
  })

  it('hides what it does not allow as 404', () => {
    const access = new Access({ mode: { mode: 'mtls' }, policy })

    expect(() => access.authorize(bob, { repository: 'ghcr.io/acme/app' })).toThrow(
      expect.objectContaining({ status: 404, code: 'NAME_UNKNOWN' }),
    )
    expect(() => access.authorize(undefined, { repository: 'ghcr.io/acme/app' })).not.toThrow()
  })
})

describe('Basic credentials', () => {
  it.each([
    undefined,
    '',
    'Bearer abc',
    'Basic',
    'Basic !!!',
    `Basic ${Buffer.from('nocolon').toString('base64')}`,
    `Basic ${Buffer.from(':password').toString('base64')}`,
    `Basic ${'A'.repeat(5000)}`,
  ])('are not found in %j', (header) => {
    expect(parseBasic(header)).toBeUndefined()
  })
})
