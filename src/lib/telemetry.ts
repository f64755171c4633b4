/** Logs and metrics: one function for each event, which counts and logs in one place, so that labels never drift. */
import type { Logger } from 'pino'
import { Counter, collectDefaultMetrics, Registry } from 'prom-client'
import { type Gauges, watchGauges } from './gauges.ts'
import type { LineSink } from './lines.ts'
import { createLogger, type LogConfig } from './log.ts'
import type { Metrics } from './merged-metrics.ts'
import { createMetrics } from './metrics.ts'
import { type ReloadNews, tellReloaded, tellReloadRefused } from './reload-log.ts'
import { OPERATIONS, type RequestEvent } from './request-event.ts'
import { strayLog } from './stray-log.ts'
import { tellStoreAway, tellStoreBack } from './store-log.ts'
import { wishLabel } from './wish-reasons.ts'

/** Label of upstreams that the configuration does not name. */
const OTHER = 'other'

export type Telemetry = ReturnType<typeof createTelemetry>

/**
 * `isConfigured`: clients may choose the names of upstreams where any is allowed. Those are in the log as they are, and one name
 * in the metrics, which never forget a label. `fields`: in every line.
 */
export function createTelemetry(
  config: LogConfig,
  out: LineSink,
  isConfigured: (upstream: string) => boolean = () => true,
  fields: Readonly<Record<string, unknown>> | null = null,
) {
  const labelOf = (upstream: string) => (isConfigured(upstream) ? upstream : OTHER)
  const log = createLogger(config, out, fields)
  // Its lines have fixed fields, none of them secret, and there are thousands a second.
  const requestLog = log.child({}, { redact: [] })
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const metrics = createMetrics(registry)
  watchLog(registry, log, out)
  let wasOver = false
  const setLevel = (level: LogConfig['level']) => {
    log.level = level
    requestLog.level = level
  }
  return {
    log,
    /** Prometheus text. */
    async metricsText(): Promise<string> {
      return await registry.metrics()
    },
    /** The same as values, for whoever speaks for several processes. */
    async metrics(): Promise<Metrics> {
      return await registry.getMetricsAsJSON()
    },
    watch(gauges: Gauges): void {
      watchGauges(registry, gauges)
    },
    requestDone(event: RequestEvent): void {
      const { error, bytes, ...fields } = event
      const isOperations = event.route === OPERATIONS
      if (!isOperations) {
        metrics.requests.inc({ route: event.route, status: String(event.status) })
        metrics.bytesOut.inc(bytes)
        metrics.requestSeconds.observe({ route: event.route }, event.ms / 1000)
      }
      const line = { event: 'request', ...fields, ...(!isOperations && { bytes }) }
      const isBad = event.status >= 500 || event.cut !== undefined
      const level = isOperations ? 'debug' : isBad ? 'warn' : 'info'
      const text = `${event.method} ${event.status}`
      if (error === undefined) requestLog[level](line, text)
      else log[level]({ ...line, err: error }, text)
    },
    /** Said now and then. */
    strayed: strayLog({
      log,
      count: (reason) => metrics.refusedConnections.inc({ reason }),
      now: () => performance.now(),
    }),
    peerRefused(reason: 'share' | 'head' | 'proof' | 'question'): void {
      metrics.peerRefusals.inc({ reason })
    },
    served(what: 'manifest' | 'blob', from: 'store' | 'upstream' | 'redirect'): void {
      metrics.served.inc({ what, from })
    },
    blobFetched(fetch: { upstream: string; bytes: number; result: string }): void {
      const upstream = labelOf(fetch.upstream)
      metrics.bytesIn.inc({ upstream }, fetch.bytes)
      if (fetch.result === 'kept') return
      const kind = fetch.result === 'abandoned' ? 'abandoned' : 'blob'
      metrics.upstreamErrors.inc({ upstream, kind })
    },
    imageConverted(image: { profile: string; result: string; seconds: number }): void {
      metrics.conversions.inc({ profile: image.profile, result: image.result })
      metrics.conversionSeconds.observe({ profile: image.profile }, image.seconds)
    },
    /** Said once of an image, counted always. */
    wishUnfulfilled(wish: {
      readonly upstream: string
      readonly name: string
      readonly tag: string
      readonly digest: string
      readonly profile: string
      readonly reason: string
      readonly message: string
      readonly error?: unknown
      readonly isNews: boolean
    }): void {
      const { error, isNews, ...fields } = wish
      const reason = wishLabel(wish.reason)
      metrics.unfulfilled.inc({ reason })
      if (!isNews) return
      const line = { event: 'wish_unfulfilled', ...fields }
      const text = `the original is served, not ${wish.profile}`
      if (error === undefined) log.warn(line, text)
      else log.error({ ...line, err: error }, text)
    },
    clientCannotRead(what: { readonly image: string; readonly reason: string }): void {
      log.warn(
        { event: 'client_cannot_read', ...what },
        'the original is served to a client that cannot read what it asks for',
      )
    },
    childLeft(child: {
      readonly digest: string
      readonly profile: string
      readonly reason: string
      readonly message: string
    }): void {
      const text = `a child of an index stays the original, not ${child.profile}`
      log.warn({ event: 'child_left', ...child }, text)
    },
    layerConverted(layer: {
      encoding: string
      result: string
      seconds: number
      bytesIn: number
      bytesOut: number
    }): void {
      metrics.layers.inc({ encoding: layer.encoding, result: layer.result })
      if (layer.bytesIn > 0 && layer.bytesOut > 0) {
        metrics.layerRatio.observe({ encoding: layer.encoding }, layer.bytesOut / layer.bytesIn)
      }
      log.debug({ event: 'layer_converted', ...layer })
    },
    layerFellBack(layer: {
      readonly source: string
      readonly encoding: string
      readonly plain: string
      readonly reason: string
    }): void {
      const { encoding, plain } = layer
      log.info({ event: 'layer_fallback', ...layer }, `a layer became ${plain}, not ${encoding}`)
    },
    collected(found: {
      readonly gone: readonly { readonly size: number; readonly reason: string }[]
      readonly budget: number
      readonly plan: { readonly total: number; readonly overBy: number; readonly kept: object }
    }): void {
      for (const { size, reason } of found.gone) {
        metrics.evictedBlobs.inc({ reason })
        metrics.evictedBytes.inc({ reason }, size)
      }
      const { total, overBy, kept } = found.plan
      const fields = { total, budget: found.budget, overBy, kept, gone: found.gone.length }
      if (found.gone.length > 0) log.info({ event: 'collected', ...fields }, 'evicted')
      if (overBy > 0 && !wasOver) {
        log.warn(
          { event: 'over_budget', ...fields },
          'the store is larger than its budget, and nothing more may go: raise cache.maxSize, or see crossdock gc --dry-run',
        )
      }
      wasOver = overBy > 0
    },
    folded(blob: { readonly digest: string; readonly size: number }): void {
      metrics.foldedBlobs.inc()
      metrics.foldedBytes.inc(blob.size)
      log.debug({ event: 'folded', ...blob }, 'a blob went; it is made again when it is asked for')
    },
    unfoldable({ digest, error }: { readonly digest: string; readonly error: unknown }): void {
      log.warn({ event: 'unfoldable', digest, err: error }, 'a layer stays as it came')
    },
    /** Something in the store was not what it should be. */
    checked(check: { what: string; digest: string; state: string; detail?: string }): void {
      metrics.healed.inc({ result: check.state })
      log.warn({ event: 'store_check', ...check }, `${check.what} ${check.state}`)
    },
    scrubbed(scrub: { readonly bytes: number; readonly seconds: number }): void {
      metrics.scrubbedBytes.inc(scrub.bytes)
      log.info({ event: 'scrubbed', ...scrub }, 'the whole store was verified')
    },
    storeFailed(part: 'catalog' | 'blobs'): void {
      metrics.storeFailures.inc({ part })
    },
    storeAway(outage: Parameters<typeof tellStoreAway>[1]): void {
      tellStoreAway(log, outage)
    },
    storeBack(ended: Parameters<typeof tellStoreBack>[1]): void {
      tellStoreBack(log, ended)
    },
    catalogReplaced(loss: 'gone' | 'damaged'): void {
      const what = loss === 'gone' ? 'deleted or replaced while it was open' : 'damaged'
      log.warn(
        { event: 'catalog_replaced', loss },
        `the catalog was ${what}; it was made again from the store`,
      )
    },
    setLevel,
    reloaded({ level, ...what }: ReloadNews & { readonly level: LogConfig['level'] }): void {
      tellReloaded(log, what, () => setLevel(level))
    },
    reloadRefused(error: unknown): void {
      tellReloadRefused(log, error)
    },
    choreFailed(chore: string, error: unknown): void {
      log.error({ event: 'chore_failed', chore, err: error }, `${chore} failed; it is tried again`)
    },
    readinessUntold(error: unknown): void {
      log.error(
        { event: 'readiness_untold', err: error },
        'systemd could not be told that it is up',
      )
    },
    irreproducible(layer: { target: string; source: string; encoding: string }): void {
      const { target, source, encoding } = layer
      log.warn(
        { event: 'layer_irreproducible', target, source, encoding },
        'a converted layer came out differently than before; its images will be converted anew',
      )
    },
    upstreamRequest(request: {
      upstream: string
      kind: string
      status?: number | undefined
      ms?: number | undefined
    }): void {
      metrics.upstreamRequests.inc({
        upstream: labelOf(request.upstream),
        kind: request.kind,
        status: String(request.status ?? 0),
      })
      log.debug({ event: 'upstream_request', ...request })
    },
    upstreamError(error: {
      upstream: string
      kind: string
      reason?: string | undefined
      message?: string | undefined
    }): void {
      metrics.upstreamErrors.inc({ upstream: labelOf(error.upstream), kind: error.kind })
      log.debug({ event: 'upstream_error', ...error })
    },
    upstreamQuota(quota: {
      upstream: string
      limit?: number | undefined
      remaining: number
    }): void {
      metrics.quota.set({ upstream: labelOf(quota.upstream) }, quota.remaining)
    },
  }
}

function watchLog(registry: Registry, log: Logger, out: LineSink): void {
  new Counter({
    name: 'crossdock_log_lost_lines_total',
    help: 'Lines of the log that its reader did not take',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(out.lost ?? 0)
    },
  })
  out.onTakenAgain?.((lines) => {
    log.warn({ event: 'log_lost', lines }, 'the reader of the log took nothing for a while')
  })
}
