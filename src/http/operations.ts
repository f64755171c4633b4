/** What the operator asks: health on every listener; metrics and the live list of conversions on the admin listener. */
import type { Hono, MiddlewareHandler } from 'hono'
import { streamSSE } from 'hono/streaming'
import type { Job, Progress } from '../convert/progress.ts'
import { oneLine, printableJson } from '../lib/printable.ts'
import type { Env } from './server.ts'

export interface HealthDeps {
  /** Throws when store or catalog cannot be used. */
  readonly check: () => Promise<void>
  readonly isDraining: () => boolean
}

/** `/healthz`: the process answers. `/readyz`: store and catalog can be used, and it is not about to end. */
export function addHealth(app: Hono<Env>, seen: MiddlewareHandler<Env>, deps: HealthDeps): void {
  app.get('/healthz', seen, (c) => c.text('ok\n'))
  app.get('/readyz', seen, async (c) => {
    if (deps.isDraining()) return c.text('shutting down\n', 503)
    try {
      await deps.check()
      return c.text('ok\n')
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return c.text(`not ready: ${oneLine(why)}\n`, 503)
    }
  })
}

export interface AdminDeps {
  readonly metricsText: () => Promise<string>
  readonly progress: Progress
  /** Aborted when the server is to end, for which streams without an end must not be waited. */
  readonly ending: AbortSignal
}

/** How often a listener that sees nothing happen is told so, ms. */
const SSE_PING_MS = 15_000

export function addAdmin(app: Hono<Env>, seen: MiddlewareHandler<Env>, deps: AdminDeps): void {
  app.get('/metrics', seen, async (c) =>
    c.body(await deps.metricsText(), 200, { 'Content-Type': 'text/plain; version=0.0.4' }),
  )
  app.get('/api/conversions', seen, (c) => {
    const wantsEvents = c.req.header('accept')?.includes('text/event-stream') ?? false
    if (!wantsEvents) {
      const text = printableJson({ conversions: deps.progress.list().map(describeJob) })
      return c.body(text, 200, { 'Content-Type': 'application/json' })
    }
    return streamSSE(c, async (stream) => {
      // Each job once: of a listener that reads slowly nothing but the newest state is kept.
      const queue = new Map(deps.progress.list().map((job) => [job.id, job]))
      let wake: () => void = () => undefined
      const stop = deps.progress.subscribe((job) => {
        queue.set(job.id, job)
        wake()
      })
      const wakeUp = () => wake()
      stream.onAbort(wakeUp)
      deps.ending.addEventListener('abort', wakeUp)
      try {
        while (!stream.aborted && !deps.ending.aborted) {
          const [job] = queue.values()
          if (job !== undefined) {
            queue.delete(job.id)
            await stream.writeSSE({ event: 'conversion', data: printableJson(describeJob(job)) })
            continue
          }
          const isQuiet = await new Promise<boolean>((resolve) => {
            const timer = setTimeout(resolve, SSE_PING_MS, true)
            wake = () => {
              clearTimeout(timer)
              resolve(false)
            }
          })
          if (isQuiet) await stream.writeSSE({ event: 'ping', data: '' })
        }
      } finally {
        deps.ending.removeEventListener('abort', wakeUp)
        stop()
      }
    })
  })
}

export function describeJob(job: Job) {
  const end = job.endedAt ?? Date.now()
  return { ...job, seconds: Math.max(0, end - job.startedAt) / 1000 }
}
