import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CrossdockError } from '../../../src/errors.ts'
import type { RequestEvent } from '../../../src/lib/request-event.ts'
import { createTelemetry } from '../../../src/lib/telemetry.ts'
import { hostileText, OBEYED } from '../../helpers/hostile-texts.ts'

const REQUEST: RequestEvent = {
  id: '7f0c1c1e-93a5-4d29-b6a0-1f2f3a4b5c6d',
  method: 'GET',
  path: '/v2/library/alpine/manifests/3-zstd',
  status: 200,
  bytes: 1234,
  ms: 3.1,
  client: '10.0.0.7',
  userAgent: 'docker/27.1.1 go/go1.21.12 git-commit/cc13f95 kernel/6.1 os/linux arch/amd64',
  principal: undefined,
  route: 'manifest',
  image: 'docker.io/library/alpine:3-zstd',
  conversion: 'hit',
  refusal: undefined,
  reason: undefined,
}

function logOf(format: 'json' | 'pretty') {
  const lines: string[] = []
  const telemetry = createTelemetry(
    { level: 'info', format },
    { write: (line) => lines.push(line) },
  )
  return { lines, telemetry }
}

describe('the log', () => {
  it.each(['json', 'pretty'] as const)(
    'is one harmless line an event as %s, whatever others say',
    (format) => {
      fc.assert(
        fc.property(hostileText, (text) => {
          const { lines, telemetry } = logOf(format)
          const error = new CrossdockError('upstreamFailed', text, { cause: new Error(text) })
          telemetry.log.info(
            { userAgent: text, list: [{ [text]: text }], err: new Error(text) },
            text,
          )
          telemetry.requestDone({ ...REQUEST, path: text, image: text, refusal: text, error })

          expect(lines).toHaveLength(2)
          for (const line of lines) {
            expect(line.slice(0, -1)).not.toContain('\n')
            expect(line).not.toMatch(OBEYED)
            expect(line).toMatch(/\n$/)
          }
          if (format === 'pretty') return
          const [first = '', second = ''] = lines
          expect(JSON.parse(first)).toMatchObject({ userAgent: text, msg: text })
          expect(JSON.parse(second)).toMatchObject({ path: text, refusal: text })
        }),
        { numRuns: 60 },
      )
    },
  )

  it.each(['json', 'pretty'] as const)(
    'bounds what anybody can put into a line of %s',
    (format) => {
      const { lines, telemetry } = logOf(format)
      const text = 'x'.repeat(100_000)
      let deep: object = { text }
      for (let i = 0; i < 100; i += 1) deep = { deep }
      const error = Array.from({ length: 20 }).reduce<Error>(
        (cause) => new Error(text, { cause }),
        new Error(text),
      )
      telemetry.log.info({ text, list: Array(10_000).fill(1), deep, err: error }, text)
      telemetry.requestDone({ ...REQUEST, path: text, userAgent: text, refusal: text, error })

      for (const line of lines) expect(line.length).toBeLessThan(40_000)
    },
  )

  it('shows a request on a line for a terminal', () => {
    const { lines, telemetry } = logOf('pretty')
    telemetry.requestDone(REQUEST)
    const blob = `/v2/library/alpine/blobs/sha256:${'3f8a1b2c4d5e'.padEnd(64, '0')}`
    telemetry.requestDone({
      ...{ ...REQUEST, path: blob, route: 'blob', image: 'docker.io/library/alpine' },
      ...{ conversion: undefined, cut: 'client-left', principal: 'alice' },
    })

    expect(lines.map((line) => line.slice(9))).toEqual([
      'info GET 200 /v2/library/alpine/manifests/3-zstd docker.io/library/alpine:3-zstd hit 1234 B 3.1 ms 10.0.0.7 docker/27.1.1\n',
      'warn GET 200 /v2/library/alpine/blobs/sha256:3f8a1b2c4d5e docker.io/library/alpine 1234 B cut=client-left 3.1 ms 10.0.0.7 user=alice docker/27.1.1\n',
    ])
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(160)
  })

  it('says what a client was told, and nothing more of a registry that cannot be reached', () => {
    const refusal =
      'manifest local/app:1: cannot talk to 127.0.0.1:9 (ECONNREFUSED); check that it is up'
    const cause = Object.assign(new Error('connect ECONNREFUSED'), {
      code: 'ECONNREFUSED',
      syscall: 'connect',
    })
    const error = new CrossdockError('upstreamFailed', refusal, { cause, reason: 'ECONNREFUSED' })
    const refused = { ...REQUEST, status: 502, conversion: undefined, refusal, error }
    const json = logOf('json')
    json.telemetry.requestDone(refused)
    const text = logOf('pretty')
    text.telemetry.requestDone(refused)

    expect(JSON.parse(json.lines[0] ?? '')).toMatchObject({
      refusal,
      err: { kind: 'upstreamFailed', reason: 'ECONNREFUSED', causes: ['connect ECONNREFUSED'] },
    })
    expect(json.lines[0]).not.toContain('    at ')
    expect(text.lines[0]?.slice(9)).toBe(
      `warn GET 502 ${REQUEST.path} ${refusal} 3.1 ms 10.0.0.7 docker/27.1.1\n`,
    )
  })

  it('shows where an error came from that nobody foresaw', () => {
    const { lines, telemetry } = logOf('json')
    telemetry.choreFailed('scrub', new Error('outer', { cause: new TypeError('inner') }))

    const { err } = JSON.parse(lines[0] ?? '')
    expect(err).toMatchObject({ type: 'Error', message: 'outer', causes: ['inner'] })
    expect(err.stack).toMatch(/^Error: outer\n.*log\.test\.ts[\s\S]*caused by: TypeError: inner\n/)
  })
})

describe('the metrics', () => {
  it('have one label for all upstreams that clients thought up', async () => {
    const telemetry = createTelemetry(
      { level: 'silent', format: 'json' },
      { write: () => undefined },
      (name) => name === 'docker.io',
    )
    for (const upstream of ['docker.io', 'a.example', 'b.example', 'c.example']) {
      telemetry.upstreamRequest({ upstream, kind: 'manifest', status: 200 })
      telemetry.upstreamError({ upstream, kind: 'connect' })
      telemetry.blobFetched({ upstream, bytes: 1, result: 'failed' })
      telemetry.upstreamQuota({ upstream, remaining: 3 })
    }
    const text = await telemetry.metricsText()

    expect(text).not.toContain('.example')
    expect(new Set(text.match(/upstream="[^"]*"/g))).toEqual(
      new Set(['upstream="docker.io"', 'upstream="other"']),
    )
    expect(text).toContain(
      'crossdock_upstream_requests_total{upstream="other",kind="manifest",status="200"} 3',
    )
  })
})
