/** What goes wrong between us and a registry, and what comes out: resumed downloads, retries, mirrors, honest errors. */
import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import type { Fault } from '../helpers/fake-wire.ts'
import { bytesOf, openUpstream } from '../helpers/open-upstream.ts'

const BLOB = randomBytes(300_000)

describe('a broken download', () => {
  test('is read on from the byte where it broke, and ends with the right bytes', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    await using opened = openUpstream(registry)
    const cut = fc.integer({ min: 0, max: BLOB.length - 1 })
    const scenario = fc.record({
      cuts: fc.array(cut, { maxLength: 3 }),
      ignoreRange: fc.boolean(),
      chunked: fc.boolean(),
      range: fc.option(fc.tuple(cut, cut), { nil: undefined }),
    })

    await fc.assert(
      fc.asyncProperty(scenario, async ({ cuts, ignoreRange, chunked, range }) => {
        registry.clearFaults()
        for (const dropAfter of cuts) {
          registry.fault({ kind: 'blob' }, { dropAfter, ignoreRange, chunked, times: 1 })
        }
        registry.fault({ kind: 'blob' }, { ignoreRange, chunked })
        const [start = 0, end = BLOB.length] = range?.toSorted((a, b) => a - b) ?? []
        const part = range && end > start ? { start, end } : undefined
        const size = chunked ? BLOB.length : undefined

        const blob = await opened.upstream.blob(
          'app',
          { digest, size },
          part ? { range: part } : {},
        )

        const wanted = part ? BLOB.subarray(start, end) : BLOB
        expect(Buffer.compare(await bytesOf(blob), wanted)).toBe(0)
      }),
      { numRuns: 40 },
    )
  })

  test('asks for the rest only, under the condition that the blob is the same', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    registry.fault({ kind: 'blob' }, { dropAfter: 100_000, times: 1 })
    await using opened = openUpstream(registry)

    await bytesOf(await opened.upstream.blob('app', { digest }))

    expect(registry.requests.map(({ headers }) => [headers.range, headers['if-range']])).toEqual([
      [undefined, undefined],
      ['bytes=100000-', `"${digest}"`],
    ])
    expect(opened.events.filter(({ name }) => name === 'upstreamError')).toHaveLength(1)
  })

  test('goes on as long as there is progress, and gives up after retries without any', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    registry.fault({ kind: 'blob' }, { dropAfter: 30_000, times: 9 })
    registry.fault({ kind: 'blob' }, { dropAfter: 0 })
    await using opened = openUpstream(registry)
    const blob = await opened.upstream.blob('app', { digest })
    let size = 0

    const reading = (async () => {
      for await (const chunk of blob?.body ?? []) size += chunk.byteLength
    })()

    await expect(reading).rejects.toMatchObject({ kind: 'upstreamFailed' })
    expect(size).toBe(270_000)
    expect(registry.count({ kind: 'blob' })).toBe(9 + 3)
  })

  test('that stalls ends in a time-out, after trying again', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    registry.fault({ kind: 'blob' }, { stallAfter: 1_000, ignoreRange: true })
    await using opened = openUpstream(registry, { limits: { upstreamIdle: 200, retries: 1 } })

    const reading = bytesOf(await opened.upstream.blob('app', { digest }))

    await expect(reading).rejects.toMatchObject({ kind: 'upstreamTimeout' })
    expect(registry.count({ kind: 'blob' })).toBe(2)
  })

  test('that trickles is given up, by the time waited and not the time the reader takes', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB.subarray(0, 5_000))
    registry.fault({ kind: 'blob' }, { bytesPerSecond: 5_000 })
    let factor = 100
    const monotonic = () => performance.now() * factor
    await using opened = openUpstream(registry, { clock: { ...systemClock, monotonic } })

    const slow = bytesOf(await opened.upstream.blob('app', { digest }))
    await expect(slow).rejects.toMatchObject({ kind: 'upstreamTimeout', reason: 'too-slow' })

    factor = 1
    expect(await bytesOf(await opened.upstream.blob('app', { digest }))).toHaveLength(5_000)
  })

  test('is not called slow because this process was stopped for an hour', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB.subarray(0, 5_000))
    const hold = registry.hold({ kind: 'blob' }, { afterBytes: 1_000 })
    let stopped = 0
    const monotonic = () => performance.now() + stopped
    await using opened = openUpstream(registry, { clock: { ...systemClock, monotonic } })

    const reading = bytesOf(await opened.upstream.blob('app', { digest }))
    await hold.reached
    stopped = 3_600_000
    hold.release()

    expect(await reading).toHaveLength(5_000)
  })
})

describe('a lie about a blob is refused:', () => {
  const lies: readonly (readonly [string, Fault, string])[] = [
    ['longer than its descriptor says', { body: Buffer.concat([BLOB, BLOB]) }, 'badSize'],
    ['longer without a length', { body: Buffer.concat([BLOB, BLOB]), chunked: true }, 'badSize'],
    ['shorter than its descriptor says', { body: BLOB.subarray(0, 1000) }, 'badSize'],
    ['empty', { body: Buffer.alloc(0) }, 'badSize'],
    ['another length in the header', { lengthDelta: 1 }, 'badSize'],
    ['encoded on the way', { headers: { 'content-encoding': 'gzip' } }, 'badDigest'],
    ['a web page', { headers: { 'content-type': 'text/html' }, noDigestHeader: true }, 'badDigest'],
  ]
  test.each(lies)('%s', async (_, fault, kind) => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    registry.fault({ kind: 'blob' }, fault)
    await using opened = openUpstream(registry)
    const pull = async () =>
      await bytesOf(await opened.upstream.blob('app', { digest, size: BLOB.length }))

    await expect(pull()).rejects.toMatchObject({ kind })
  })

  test('another range than the one asked for', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    registry.fault({ kind: 'blob' }, { shiftRange: 7 })
    await using opened = openUpstream(registry)

    const range = { start: 10, end: 20 }
    await expect(opened.upstream.blob('app', { digest }, { range })).rejects.toMatchObject({
      kind: 'badSize',
    })
  })
})

describe('a lie about a manifest is refused:', () => {
  const other = { 'docker-content-digest': digestOf(Buffer.from('x')) }
  const lies: readonly (readonly [string, Fault, string])[] = [
    ['other bytes than its digest says', { corruptAt: 3 }, 'badDigest'],
    ['a digest of something else in the header', { headers: other }, 'badDigest'],
    ['more than 4 MiB', { body: Buffer.alloc(5 * 1024 * 1024) }, 'badSize'],
    ['more than 4 MiB without a length', { body: Buffer.alloc(5 << 20), chunked: true }, 'badSize'],
    ['a web page', { headers: { 'content-type': 'text/html' } }, 'badManifest'],
  ]
  test.each(lies)('%s', async (_, fault, kind) => {
    await using registry = await FakeRegistry.start()
    const image = await registry.pushImage('app', '1')
    registry.fault({ kind: 'manifest' }, fault)
    await using opened = openUpstream(registry)

    await expect(opened.upstream.manifest('app', image.digest)).rejects.toMatchObject({ kind })
    expect(registry.requests).toHaveLength(1)
  })
})

describe('a status', () => {
  test.each([
    [403, 'denied', 1],
    [429, 'tooManyRequests', 4],
    [500, 'upstreamFailed', 4],
    [503, 'upstreamFailed', 4],
    [418, 'upstreamFailed', 1],
  ])('%i becomes "%s" after %i requests', async (status, kind, requests) => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { status })
    await using opened = openUpstream(registry)

    const error: unknown = await opened.upstream
      .manifest('app', '1')
      .catch((cause: unknown) => cause)

    expect(error).toMatchObject({ kind })
    expect(String(error)).toContain('manifest local/app:1')
    expect(registry.requests).toHaveLength(requests)
  })

  test('429 is waited out when that is short, and told at once when it is long', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry)

    registry.fault({}, { status: 429, headers: { 'retry-after': '2' }, times: 2 })
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(opened.sleeps).toHaveLength(2)
    expect(Math.min(...opened.sleeps)).toBeGreaterThanOrEqual(2_000)

    registry.fault({}, { status: 429, headers: { 'retry-after': '86400' } })
    const refused = opened.upstream.resolve('app', '1')
    await expect(refused).rejects.toMatchObject({ kind: 'tooManyRequests', retryAfter: 86_400 })
    expect(opened.sleeps).toHaveLength(2)
  })

  test('5xx and resets are tried again with growing pauses', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    registry.fault({}, { status: 502, times: 1 })
    registry.fault({}, { reset: true, times: 1 })
    registry.fault({}, { dropAfter: 10, times: 1 })
    await using opened = openUpstream(registry)

    expect(await opened.upstream.manifest('app', '1')).toBeDefined()
    expect(opened.sleeps).toEqual([200, 400, 800])
  })
})

describe('time', () => {
  test('runs out on a registry that does not answer', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { stallHeaders: true })
    await using opened = openUpstream(registry, { limits: { upstreamHeaders: 200 } })

    await expect(opened.upstream.manifest('app', '1')).rejects.toMatchObject({
      kind: 'upstreamTimeout',
    })
    expect(registry.requests).toHaveLength(1)
  })

  test('runs out on a manifest that trickles for ever', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    registry.fault({}, { bytesPerSecond: 20 })
    const limits = { connectTimeout: 100, upstreamHeaders: 100, upstreamIdle: 200 }
    await using opened = openUpstream(registry, { limits })

    await expect(opened.upstream.manifest('app', '1')).rejects.toMatchObject({
      kind: 'upstreamTimeout',
    })
  })
})

describe('a circuit breaker', () => {
  test('holds back a repository that fails, lets one request through, and ends at any answer', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    let now = 0
    const clock = { ...systemClock, monotonic: () => now, sleep: () => Promise.resolve() }
    await using opened = openUpstream(registry, { clock, limits: { retries: 0 } })
    const heal = registry.fault({}, { status: 500 })
    const ask = () => opened.upstream.manifest('app', '1')

    for (let i = 0; i < 5; i += 1)
      await expect(ask()).rejects.toMatchObject({ reason: 'status-500' })
    await expect(ask()).rejects.toMatchObject({ kind: 'upstreamFailed', reason: 'circuit-open' })
    expect(registry.requests).toHaveLength(5)

    now = 5_000
    await expect(ask()).rejects.toMatchObject({ reason: 'status-500' })
    await expect(ask()).rejects.toMatchObject({ reason: 'circuit-open' })
    heal()
    now = 10_000
    expect(await ask()).toBeDefined()
    expect(await ask()).toBeDefined()
  })

  test('leaves the neighbours of repositories that fail alone, and lets nobody win its probe', async () => {
    await using registry = await FakeRegistry.start()
    const bad = ['evil/a', 'evil/b', 'evil/c', 'evil/d']
    for (const name of bad) registry.fault({ name }, { status: 500 })
    const clock = { ...systemClock, monotonic: () => 0, sleep: () => Promise.resolve() }
    await using opened = openUpstream(registry, { clock, limits: { retries: 1 } })
    const { upstream } = opened

    for (let i = 0; i < 25; i += 1) {
      await registry.pushImage(`app-${i}`, '1')
      const attacks = bad.flatMap((name) => [upstream.manifest(name, '1'), upstream.tags(name, {})])
      await Promise.allSettled(attacks)
      expect(await upstream.resolve(`app-${i}`, '1')).toBeDefined()
    }
    for (const name of bad) {
      await expect(upstream.manifest(name, '1')).rejects.toMatchObject({ reason: 'circuit-open' })
      expect(registry.count({ name })).toBeLessThan(25)
    }
  })

  test('opens when several repositories and the ping fail, and asks nothing but the ping again', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    let now = 0
    const clock = { ...systemClock, monotonic: () => now, sleep: () => Promise.resolve() }
    await using opened = openUpstream(registry, { clock, limits: { retries: 0 } })
    const heal = registry.fault({}, { status: 503 })
    const ask = (name: string) => opened.upstream.manifest(name, '1')
    const asked = () => registry.requests.splice(0).map(({ kind, name }) => `${kind} ${name}`)

    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      await expect(ask(name)).rejects.toMatchObject({ reason: 'status-503' })
    }
    expect(asked()).toHaveLength(5)
    for (const name of ['app', 'a', 'b']) {
      await expect(ask(name)).rejects.toMatchObject({ reason: 'circuit-open', retryAfter: 5 })
    }
    expect(asked()).toEqual(['ping '])

    now = 5_000
    await Promise.allSettled([ask('app'), ask('a'), ask('b')])
    expect(asked()).toEqual(['ping '])
    heal()
    now = 10_000
    expect(await ask('app')).toBeDefined()
    expect(asked()).toEqual(['ping ', 'manifest app'])
  })

  test('opens when nothing can be reached, whichever repository was asked for', async () => {
    const gone = await FakeRegistry.start()
    const { url } = gone
    await gone[Symbol.asyncDispose]()
    await using opened = openUpstream({ url }, { limits: { retries: 0 } })

    for (let i = 0; i < 5; i += 1) {
      const refused = opened.upstream.manifest('app', '1')
      await expect(refused).rejects.toMatchObject({ reason: 'ECONNREFUSED' })
    }
    await expect(opened.upstream.manifest('other', '1')).rejects.toMatchObject({
      reason: 'circuit-open',
    })
  })

  test('is not opened by where a registry redirects to', async () => {
    await using storage = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    registry.fault({ kind: 'blob' }, { redirectTo: (path) => `${storage.url}${path}` })
    storage.fault({}, { status: 503 })
    await using opened = openUpstream(registry, { limits: { retries: 0 } })
    const digest = digestOf(BLOB)

    for (let i = 0; i < 8; i += 1) {
      await expect(opened.upstream.blob('app', { digest })).rejects.toMatchObject({
        reason: 'status-503',
      })
    }
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
  })

  test('stays closed at a registry that is slow', async () => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { stallHeaders: true })
    await using opened = openUpstream(registry, { limits: { retries: 0, upstreamHeaders: 100 } })
    const asks = Array.from({ length: 8 }, () => opened.upstream.resolve('app', '1'))

    await Promise.allSettled(asks)
    await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({
      kind: 'upstreamTimeout',
    })

    // By HEAD and GET at first, by GET alone once HEAD has cost its time.
    expect(registry.requests).toHaveLength(17)
  })

  test.each([404, 403, 429])('stays closed at %i', async (status) => {
    await using registry = await FakeRegistry.start()
    registry.fault({}, { status })
    await using opened = openUpstream(registry, { limits: { retries: 0 } })

    for (let i = 0; i < 8; i += 1) await opened.upstream.manifest('app', '1').catch(() => undefined)

    expect(registry.requests).toHaveLength(8)
  })
})

describe('many requests at once', () => {
  test('are so many at a time, others wait, and the rest is told to come again', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    const hold = registry.hold({})
    await using opened = openUpstream(registry, {
      limits: { upstreamConnections: 8, upstreamQueue: 20 },
    })

    const asks = Array.from({ length: 300 }, (_, i) =>
      opened.upstream.resolve('app', `unknown-${i}`).then(
        () => 'answered',
        (error: { kind?: string; retryAfter?: number }) => `${error.kind} ${error.retryAfter}`,
      ),
    )
    await hold.reached
    await expect.poll(() => registry.requests.length).toBe(8)
    hold.release()
    const outcomes = await Promise.all(asks)

    expect(registry.peakSockets).toBe(8)
    expect(outcomes.filter((one) => one === 'answered')).toHaveLength(28)
    expect(outcomes.filter((one) => one === 'overloaded 5')).toHaveLength(272)
    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
  })

  test('for tags cost no more sockets while downloads have all that they may', async () => {
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    const digest = registry.pushBlob('app', BLOB)
    const hold = registry.hold({ kind: 'blob' }, { afterBytes: 10 })
    await using opened = openUpstream(registry, {
      limits: { upstreamConnections: 8, upstreamQueue: 100 },
    })
    const { upstream } = opened

    const downloads = Array.from({ length: 20 }, async () =>
      bytesOf(await upstream.blob('app', { digest })),
    )
    await expect.poll(() => registry.count({ kind: 'blob' })).toBe(7)
    for (let i = 0; i < 5; i += 1) expect(await upstream.resolve('app', '1')).toBeDefined()
    hold.release()
    for (const bytes of await Promise.all(downloads)) expect(bytes).toHaveLength(BLOB.length)

    expect(registry.peakSockets).toBe(8)
  })

  test('leave their places whatever became of them', async () => {
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    await registry.pushImage('app', '1')
    await using opened = openUpstream(registry, {
      limits: { upstreamConnections: 1, upstreamQueue: 1, upstreamHeaders: 2_000, retries: 0 },
    })
    const { upstream } = opened
    const faults: Fault[] = [
      {},
      { status: 404 },
      { status: 403 },
      { status: 500 },
      { reset: true },
      { dropAfter: 3 },
      { headers: { 'content-encoding': 'gzip' } },
      { headers: { 'content-type': 'text/html' }, noDigestHeader: true },
      { body: Buffer.alloc(5 * 1024 * 1024) },
      { redirectTo: 'file:///etc/passwd' },
    ]

    for (const fault of faults) {
      registry.clearFaults()
      registry.fault({}, { ...fault, times: 4 })
      const asks = [
        () => upstream.resolve('app', '1'),
        () => upstream.manifest('app', '1'),
        () => upstream.statBlob('app', digest),
        async () => await bytesOf(await upstream.blob('app', { digest })),
        () => upstream.tags('app', {}),
      ]
      for (const ask of asks) {
        const kind = await ask().then(
          () => 'answered',
          (error: { readonly kind?: string }) => error.kind,
        )
        expect(kind).not.toBe('overloaded')
      }
    }
  })
})

describe('mirrors', () => {
  test('are asked first, in order, and what they lack is asked of the next', async () => {
    await using first = await FakeRegistry.start()
    await using second = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    const image = await registry.pushImage('app', '1')
    second.push('app', '1', image)
    await using opened = openUpstream(registry, { settings: { mirrors: [first.url, second.url] } })

    expect((await opened.upstream.resolve('app', '1'))?.digest).toBe(image.digest)
    expect([first, second, registry].map(({ requests }) => requests.length)).toEqual([1, 1, 0])
    second.delete('app', '1')
    expect((await opened.upstream.resolve('app', '1'))?.digest).toBe(image.digest)
    expect(await opened.upstream.resolve('app', 'none')).toBeUndefined()
    expect(registry.requests).toHaveLength(2)
  })

  test('that fail are passed over for a while', async () => {
    await using mirror = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    mirror.fault({}, { status: 500 })
    await using opened = openUpstream(registry, { settings: { mirrors: [mirror.url] } })

    for (let i = 0; i < 3; i += 1) expect(await opened.upstream.resolve('app', '1')).toBeDefined()

    expect(mirror.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET'])
  })

  test('that only stall are passed over for a while, too', async () => {
    await using mirror = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    await registry.pushImage('app', '1')
    mirror.fault({}, { stallHeaders: true })
    await using opened = openUpstream(registry, {
      settings: { mirrors: [mirror.url] },
      limits: { upstreamHeaders: 200 },
    })

    for (let i = 0; i < 3; i += 1) expect(await opened.upstream.resolve('app', '1')).toBeDefined()

    expect(mirror.requests).toHaveLength(1)
  })

  test('never see the credentials of the registry', async () => {
    const user = { username: 'robot', password: 'c4nary' }
    await using mirror = await FakeRegistry.start({ auth: { scheme: 'basic', ...user } })
    await using registry = await FakeRegistry.start({ auth: { scheme: 'basic', ...user } })
    await registry.pushImage('app', '1')
    const settings = { ...user, mirrors: [mirror.url] }
    await using opened = openUpstream(registry, { settings })

    expect(await opened.upstream.resolve('app', '1')).toBeDefined()
    expect(mirror.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      undefined,
    ])
  })

  test('that break in the middle of a blob are replaced by the registry', async () => {
    await using mirror = await FakeRegistry.start()
    await using registry = await FakeRegistry.start()
    const digest = registry.pushBlob('app', BLOB)
    mirror.pushBlob('app', BLOB)
    mirror.fault({}, { dropAfter: 1_000, times: 1 })
    mirror.fault({}, { dropAfter: 0 })
    await using opened = openUpstream(registry, { settings: { mirrors: [mirror.url] } })

    const bytes = await bytesOf(await opened.upstream.blob('app', { digest }))

    expect(digestOf(bytes)).toBe(digest)
    expect(registry.requests.map(({ headers }) => headers.range)).toEqual(['bytes=1000-'])
  })
})

test('a registry that is not there fails with what to check', async () => {
  const registry = await FakeRegistry.start()
  const { url } = registry
  await registry[Symbol.asyncDispose]()
  await using opened = openUpstream({ url })

  await expect(opened.upstream.resolve('app', '1')).rejects.toMatchObject({
    kind: 'upstreamFailed',
    reason: 'ECONNREFUSED',
    message: expect.stringContaining('check that it is up') as string,
  })
})

test('quota and requests are told as events', async () => {
  await using registry = await FakeRegistry.start()
  await registry.pushImage('app', '1')
  const headers = { 'ratelimit-limit': '100;w=21600', 'ratelimit-remaining': '76;w=21600' }
  registry.fault({}, { headers })
  await using opened = openUpstream(registry)

  await opened.upstream.resolve('app', '1')

  const [quota, request] = opened.events
  expect(quota).toEqual({
    name: 'upstreamQuota',
    fields: { upstream: 'local', limit: 100, remaining: 76 },
  })
  expect(request).toMatchObject({
    name: 'upstreamRequest',
    fields: { upstream: 'local', kind: 'manifest', status: 200 },
  })
})
