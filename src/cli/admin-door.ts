/** The admin listener's door: health, metrics, and behind its guard the dashboard and its API. */
import { Broadcast } from '../admin/broadcast.ts'
import { AdminState, type Entrance } from '../admin/state.ts'
import { StoreReports } from '../admin/store-report.ts'
import { Tasks } from '../admin/tasks.ts'
import type { App } from '../app.ts'
import { type AdminDeps, answerAdmin } from '../http/admin.ts'
import { adminGuard } from '../http/admin-guard.ts'
import { readAssets } from '../http/dashboard-assets.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Listener } from '../http/server.ts'
import { actionsOn, parseAskedImage } from './actions-on.ts'
import { readVersion } from './version.ts'

/** How often what viewers see is read, and how long nothing may be said to them, ms. */
const EVERY_MS = 1_000
const QUIET_MS = 15_000

/** Answers whatever is neither health nor metrics. `listeners`: those that clients pull from, once they are bound. */
export async function openAdmin(
  app: App,
  host: string,
  listeners: () => readonly Listener[],
  ending: AbortSignal,
  reload: AdminDeps['reload'],
): Promise<(exchange: Exchange) => Promise<void>> {
  const tasks = new Tasks(app.clock)
  const state = new AdminState({
    ...app,
    tasks,
    version: readVersion(),
    listeners: () => listeners().map(entranceOf),
  })
  const deps: AdminDeps = {
    guard: adminGuard(host, app.adminAccess),
    progress: app.progress,
    state,
    broadcast: new Broadcast({ read: () => state.read(), everyMs: EVERY_MS, quietMs: QUIET_MS }),
    images: app,
    reports: new StoreReports(app),
    tasks,
    actions: actionsOn(app),
    assets: await readAssets(),
    reload,
    parseImage: (text) => parseAskedImage(text, app),
    ending,
  }
  return (exchange) => answerAdmin(exchange, deps)
}

function entranceOf({ config, port }: Listener): Entrance {
  const { host, tls, profile = null } = config
  return { host, port, scheme: tls === undefined ? 'http' : 'https', profile }
}
