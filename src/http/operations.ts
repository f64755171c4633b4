/** What monitoring asks: health on every listener, metrics on the admin listener. */
import type { Hono, MiddlewareHandler } from 'hono'
import { oneLine } from '../lib/printable.ts'
import type { Env } from './server.ts'

export interface HealthDeps {
  /** Throws when store or catalog cannot be used, and says which. */
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

/** For Prometheus, whoever may ask: it says nothing about images. */
export function addMetrics(
  app: Hono<Env>,
  seen: MiddlewareHandler<Env>,
  metricsText: () => Promise<string>,
): void {
  app.get('/metrics', seen, async (c) =>
    c.body(await metricsText(), 200, { 'Content-Type': 'text/plain; version=0.0.4' }),
  )
}
