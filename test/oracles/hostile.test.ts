/** The registry that lies: for each lie the careful answer, plain and converted, and nothing wrong stored or completed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, findMissing } from '../helpers/fixtures.ts'
import {
  type HostileRegistry,
  listLies,
  startHostileRegistry,
} from '../helpers/fixtures-hostile.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readManifest } from '../helpers/fixtures-registry.ts'
import { findTemporaries, findWrongBlobs } from '../helpers/fixtures-store.ts'

type Outcome = 'pulled' | 'refused' | 'either'

/** What a careful puller may do; a lie that is named nowhere must be refused. */
const PULLED = new Set([
  'honest',
  'no-length',
  'cut-always',
  'tar-many-entries',
  'proto-key',
  'redirect-other-host',
  'rate-limit',
  'flaky-503',
])

/** The listing leaves a choice, or the outcome is judged by something else than the pull. */
const EITHER = new Set([
  'content-encoding',
  'range-ignored',
  'gzip-bomb',
  'zstd-bomb',
  'gzip-is-zstd',
  'gzip-is-tar',
  'many-layers',
  'duplicate-keys',
  'case-keys',
  'manifest-digest',
  // Whoever takes the document that the tag gave, and never asks for it by digest, is not lied to.
  'manifest-by-digest',
  'head-get-differ',
  'redirect-manifest',
  'header-many',
  'slow-drip',
  'slow-manifest',
  // Not fetched from where it points to: see the traps below.
  'foreign-loopback',
  // A tar that nobody has to read: recompressed byte for byte, its diffID checked.
  'not-a-tar',
  'tar-size-lie',
  'tar-pax-huge',
])

/** Wrong inside of layers and configs whose digests are right: they pass as they are, also to who wishes for a profile. */
const CONTENT_ONLY = new Set([
  'gzip-bomb-nested',
  'gzip-truncated',
  'gzip-crc',
  'gzip-length',
  'zstd-window',
  'zstd-window-max',
  'zstd-truncated',
  'zstd-garbage',
  'diff-id',
  'layer-count',
  'config-not-json',
  'config-huge',
  'index-deep',
])

/** Lies that take a number: the default would make the suite wait. */
const NUMBERED: Readonly<Record<string, string>> = { 'slow-drip': 'slow-drip/100000' }

const MADE = ['gzip-bomb', 'gzip-bomb-nested', 'zstd-bomb', 'tar-many-entries', 'config-huge']

/** A gzip of a gzip of a bomb is a layer whose tar is not one; recompressing does not look. */
const UNREAD = new Set(['gzip-bomb-nested'])

const lies = findMissing(['shared']) === undefined ? await listLies() : []

describeWith(['shared'], 'the registry that lies', () => {
  let hostile: HostileRegistry
  let crossdock: Crossdock

  beforeAll(async () => {
    hostile = await startHostileRegistry()
    // Made when first asked for, which takes longer than the time-outs below.
    await Promise.all(MADE.map((lie) => readManifest(`${hostile.host}/${lie}:1`)))
    const upstream = {
      url: `http://${hostile.host}`,
      username: 'someone',
      password: 'a-secret-that-must-not-leak',
    }
    crossdock = await startCrossdock({
      config: {
        defaultUpstream: 'honest.lie',
        // An upstream for each, so that no lie opens the circuit breaker for another.
        upstreams: Object.fromEntries(lies.map(({ lie }) => [`${lie}.lie`, upstream])),
        limits: { upstreamHeaders: '3s', upstreamIdle: '3s' },
      },
    })
  })
  afterAll(async () => {
    await crossdock?.[Symbol.asyncDispose]()
    await hostile?.[Symbol.asyncDispose]()
  })

  test('lists 84 lies', () => {
    expect(lies).toHaveLength(84)
  })

  for (const { lie, what, expect: listing } of lies) {
    describe.concurrent(`${lie} (${what}: ${listing})`, () => {
      // One after the other: some lies count how often they were asked.
      for (const profile of ['', profileFor(lie)]) {
        const outcome = outcomeOf(lie)
        test(`${outcome} ${profile === '' ? 'as it is' : `as ${profile}`}`, {
          concurrent: false,
        }, async () => {
          // No suffix: this registry has every tag, and a literal tag wins.
          const path = profile === '' ? '' : `as/${profile}/`
          const image = `${crossdock.host}/${path}${lie}.lie/${NUMBERED[lie] ?? lie}:1`
          const result = await pullImage(image, { timeoutMs: 90_000 })
          expect(result.outcome, result.reason).not.toBe('poisoned')
          if (outcome !== 'either') expect(result.outcome, result.reason).toBe(outcome)
          expect(result.reason).not.toContain('a-secret')
        })
      }
    })
  }

  test('stays alive, in bounded memory, without a wrong blob or a temporary file', async () => {
    expect((await fetch(`${crossdock.url}/readyz`)).status).toBe(200)
    const honest = await pullImage(`${crossdock.host}/as/zstd/honest.lie/honest:1`)
    expect(honest.outcome, honest.reason).toBe('pulled')
    expect(await crossdock.peakRss()).toBeLessThan(1 << 30)
    expect(await findWrongBlobs(crossdock.data)).toEqual([])
    await expect
      .poll(() => findTemporaries(crossdock.data), { timeout: 30_000, interval: 500 })
      .toEqual([])
  })

  test('steps into no trap and gives its password to nobody else', async () => {
    const stats = await hostile.stats()
    expect(stats['/trap/foreign']?.requests ?? 0).toBe(0)
    expect(stats['/trap/token']?.authorization ?? 0).toBe(0)
    expect(stats['/plain/redirect-other-host']?.requests ?? 0).toBeGreaterThan(0)
    expect(stats['/plain/redirect-other-host']?.authorization ?? 0).toBe(0)
  })

  test('writes no control characters into the log', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(crossdock.output()).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  })
})

/** A profile that has to read the layer: what is zstd already would be kept. */
function profileFor(lie: string): string {
  return lie.startsWith('zstd-') ? 'gzip' : 'zstd'
}

function outcomeOf(lie: string): Outcome {
  if (PULLED.has(lie)) return 'pulled'
  return EITHER.has(lie) || UNREAD.has(lie) || CONTENT_ONLY.has(lie) ? 'either' : 'refused'
}
