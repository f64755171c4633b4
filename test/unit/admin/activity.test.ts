/** What is gathered from the events that log and metrics are made of. */
import { describe, expect, it } from 'vitest'
import { Activity } from '../../../src/admin/activity.ts'
import { overheard } from '../../../src/lib/overheard.ts'
import type { RequestEvent } from '../../../src/lib/request-event.ts'
import { createTelemetry } from '../../../src/lib/telemetry.ts'
import type { ConvertedLayer } from '../../../src/ports/conversions.ts'
import { digest } from '../../contract/catalog.ts'
import { MemoryCatalog } from '../../helpers/memory-catalog.ts'

const ALPINE = { upstream: 'docker.io', name: 'library/alpine' }

function start() {
  const catalog = new MemoryCatalog()
  const time = { now: 1_000_000 }
  const activity = new Activity(() => time.now, catalog)
  const out = { write: () => undefined }
  const events = createTelemetry({ level: 'silent', format: 'json' }, out)
  return { catalog, time, activity, telemetry: overheard(events, activity.listener) }
}

function request(more: Partial<RequestEvent>): RequestEvent {
  return {
    ...{ id: '1', method: 'GET', path: '/v2/', status: 200, bytes: 0, ms: 1, client: '10.0.0.1' },
    ...{ userAgent: undefined, principal: undefined, route: 'manifest', image: undefined },
    ...{ conversion: undefined, refusal: undefined, reason: undefined, ...more },
  }
}

function layerOf(source: string, target: string, size: number): ConvertedLayer {
  return {
    kind: 'made',
    ...{ source: digest(source), target: digest(target), size, encoding: 'zstd', options: {} },
    ...{ revision: 1, diffId: digest('tar'), uncompressedSize: 9, facts: {} },
  }
}

describe('activity', () => {
  it('counts what clients get, and leaves out who only looks', () => {
    const { activity, telemetry } = start()
    telemetry.requestDone(request({ bytes: 100 }))
    telemetry.requestDone(request({ bytes: 50, route: 'operations' }))
    telemetry.served('blob', 'store')
    telemetry.served('blob', 'upstream')
    telemetry.blobFetched({ upstream: 'docker.io', bytes: 30, result: 'kept' })

    expect(activity.traffic.summary()).toMatchObject({
      hitRatio: 0.5,
      totals: { requests: 1, bytesOut: 100, bytesIn: 30, hits: 1, misses: 1 },
    })
  })

  it('says what the same parts of the sources would have been', async () => {
    const { catalog, activity } = start()
    await catalog.conversions.recordLayer(layerOf('source', 'made', 500))
    await catalog.links.record(ALPINE, [
      { digest: digest('source'), size: 1_000, standing: 'proven' },
    ])

    await activity.blobs.add(digest('made'), 500, false)
    await activity.blobs.add(digest('made'), 50, true)
    await activity.blobs.add(digest('source'), 1_000, false)

    expect(activity.blobs.savings).toEqual({ out: 1_550, asSource: 2_100 })
    expect(activity.blobs.find(digest('made'))).toEqual({
      bytes: 550,
      rangeBytes: 50,
      ranges: 1,
      wholes: 1,
    })
  })

  it('counts blobs by the digest in their path, percent-encoded or not', () => {
    const { activity, telemetry } = start()
    const one = digest('a')
    for (const text of [one, one.replace(':', '%3A')]) {
      const path = `/v2/library/alpine/blobs/${text}`
      telemetry.requestDone(request({ route: 'blob', path, bytes: 5, status: 206 }))
    }
    telemetry.requestDone(request({ route: 'blob', path: '/v2/a/blobs/x', bytes: 5 }))

    expect(activity.blobs.find(one)).toMatchObject({ rangeBytes: 10, ranges: 2 })
  })

  it('keeps the words of the last refusal of each reason, the most frequent first', () => {
    const { activity, telemetry } = start()
    const refuse = (reason: string, refusal: string) =>
      telemetry.requestDone(request({ status: 404, reason, refusal, image: 'docker.io/x:1' }))
    refuse('login', 'who are you')
    refuse('manifestUnknown', 'x:1 is not there')
    refuse('manifestUnknown', 'x:2 is not there')

    const { refusals } = activity.troubles.summary()
    expect(refusals.groups.map(({ reason, count, last }) => [reason, count, last.text])).toEqual([
      ['manifestUnknown', 2, 'x:2 is not there'],
      ['login', 1, 'who are you'],
    ])
    expect(refusals.recent[0]?.text).toBe('x:2 is not there')
  })

  it('remembers fifty refusals, whatever happens', () => {
    const { activity, telemetry } = start()
    for (let i = 0; i < 500; i += 1) {
      telemetry.requestDone(request({ status: 404, reason: `made-up-${i}`, refusal: `${i}` }))
    }

    const { refusals } = activity.troubles.summary()
    expect([refusals.recent.length, refusals.groups.length]).toEqual([50, 100])
  })

  it('knows what was asked for last of a repository', () => {
    const { activity, telemetry } = start()
    telemetry.requestDone(request({ image: 'docker.io/library/alpine:3-zstd' }))
    telemetry.requestDone(request({ image: 'docker.io/library/alpine' }))

    expect(activity.lastAsked(ALPINE)).toBe('docker.io/library/alpine:3-zstd')
  })

  it('tells answers of upstreams from failures, and keeps the last words and the quota', () => {
    const { activity, time, telemetry } = start()
    telemetry.upstreamRequest({ upstream: 'docker.io', kind: 'manifest', status: 200 })
    telemetry.upstreamQuota({ upstream: 'docker.io', remaining: 7, limit: 100 })
    time.now += 10
    telemetry.upstreamRequest({ upstream: 'docker.io', kind: 'blob', status: 503 })
    telemetry.upstreamError({ upstream: 'docker.io', kind: 'blob', message: 'it said 503' })

    expect(activity.upstreams.find('docker.io')).toEqual({
      upstream: 'docker.io',
      requests: 2,
      failures: 1,
      answeredAt: 1_000_000,
      failure: { at: 1_000_010, kind: 'blob', reason: null, text: 'it said 503' },
      quota: { remaining: 7, limit: 100 },
    })
  })
})
