/**
 * `node --import .../bin/tracing.mjs`: OpenTelemetry spans of requests, conversions, layers and questions to upstreams. It needs the packages
 * @opentelemetry/api and @opentelemetry/sdk-node, which nothing else of crossdock does; the SDK is told what to do by its own
 * variables (OTEL_EXPORTER_OTLP_ENDPOINT, ...).
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { type Attributes, ENDING, SPANS, type SpanFacts, type SpanMessage } from './lib/spans.ts'

const KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
} as const

// Metrics are for Prometheus, and the log has its own way.
process.env.OTEL_METRICS_EXPORTER ??= 'none'
process.env.OTEL_LOGS_EXPORTER ??= 'none'

const sdk = new NodeSDK({
  serviceName: process.env.OTEL_SERVICE_NAME ?? 'crossdock',
  // What crossdock does is told by crossdock.
  instrumentations: [],
})
sdk.start()

const tracer = trace.getTracer('crossdock')
const current = new AsyncLocalStorage<Context>()
const spans = new WeakMap<SpanMessage, Span>()

SPANS.start.bindStore(current, (message) => {
  const { facts } = message
  const parent = parentOf(facts)
  const { name, kind, attributes } = facts
  const span = tracer.startSpan(name, { kind: KINDS[kind], attributes: known(attributes) }, parent)
  spans.set(message, span)
  return trace.setSpan(parent, span)
})

SPANS.asyncEnd.subscribe((told) => {
  // The channel's own type says what it carries, that of its subscribers does not.
  const message = told as SpanMessage
  const span = spans.get(message)
  if (span === undefined) return
  const { facts, error } = message
  const { attributes, failed = error !== undefined } = facts.outcome?.() ?? { attributes: {} }
  span.setAttributes(known(attributes))
  if (error instanceof Error) span.recordException(error)
  if (failed) {
    const text = error instanceof Error ? error.message : undefined
    span.setStatus({ code: SpanStatusCode.ERROR, ...(text !== undefined && { message: text }) })
  }
  span.end()
})

ENDING.subscribe((waits) => {
  if (Array.isArray(waits)) waits.push(sdk.shutdown())
})

function parentOf({ traceparent }: SpanFacts): Context {
  const around = current.getStore()
  if (around !== undefined || traceparent === undefined) return around ?? context.active()
  return propagation.extract(ROOT_CONTEXT, { traceparent })
}

function known(attributes: Attributes): Record<string, string | number | boolean> {
  const found: Record<string, string | number | boolean> = {}
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) found[key] = value
  }
  return found
}
