/** OpenTelemetry by `node --import`: a server that is traced sends its spans to a collector on loopback. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ROOT } from '../helpers/fixtures.ts'

interface OtlpSpan {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly attributes: readonly { readonly key: string; readonly value: object }[]
}

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: OtlpSpan['attributes'] }
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[]
  }[]
}

test('spans of a pull lead from the request to its layers and to what upstream was asked', async () => {
  await using registry = await FakeRegistry.start()
  await registry.pushImage('team/app', '1', { layers: 2 })
  const bodies: OtlpBody[] = []
  const collector = createServer(async (request, response) => {
    bodies.push((await json(request)) as OtlpBody)
    response.end('{}')
  })
  await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve))
  const { port } = collector.address() as AddressInfo
  await using server = await startCrossdock({
    upstream: registry.host,
    env: {
      NODE_OPTIONS: `--import=${join(ROOT, 'bin/tracing.mjs')}`,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    },
  })
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` }

  const answer = await fetch(`${server.url}/v2/team/app/manifests/1-zstd`, { headers })
  await answer.arrayBuffer()
  expect(await server.stop()).toBe(0)
  await new Promise((resolve) => collector.close(resolve))

  const spans = bodies.flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((one) => one.spans)),
  )
  const named = (name: string) => spans.filter((span) => span.name === name)
  const [request] = named('GET')
  const [image] = named('convert image')
  const layers = named('convert layer')
  expect(request).toMatchObject({ traceId, parentSpanId: 'b7ad6b7169203331' })
  expect(image?.parentSpanId).toBe(request?.spanId)
  expect(layers).toHaveLength(2)
  expect(named('upstream manifest').length).toBeGreaterThan(0)
  expect(named('upstream blob').length).toBeGreaterThan(0)
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([traceId]))
  expect(textsOf(request)).toContain('crossdock.conversion')
  expect(textsOf(request)).toContain('converted; seconds=')
  expect(JSON.stringify(bodies[0]?.resourceSpans[0]?.resource)).toContain('"crossdock"')
}, 60_000)

function textsOf(span: OtlpSpan | undefined): string {
  return JSON.stringify(span?.attributes)
}
