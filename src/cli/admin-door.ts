/** The admin listener's door: health, metrics, and behind its guard the dashboard and its API. */
import { Broadcast } from '../admin/broadcast.ts'
import { shareOf, tallyOf } from '../admin/merged-state.ts'
import { AdminState, type Entrance } from '../admin/state.ts'
import { StoreReports } from '../admin/store-report.ts'
import { Tasks } from '../admin/tasks.ts'
import { oneProcess, type Reloaded, type Whole } from '../admin/whole.ts'
import type { App } from '../app.ts'
import { type AdminDeps, answerAdmin } from '../http/admin.ts'
import { adminGuard } from '../http/admin-guard.ts'
import { readAssets } from '../http/dashboard-assets.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Listener } from '../http/server.ts'
import { AllWorkers, answeringWith } from '../workers/all-workers.ts'
import type { Post } from '../workers/post.ts'
import { idsAfter, type Seat } from '../workers/seat.ts'
import { actionsOn, parseAskedImage } from './actions-on.ts'
import { readVersion } from './version.ts'

/** How often what viewers see is read, and how long nothing may be said to them, ms. */
const EVERY_MS = 1_000
const QUIET_MS = 15_000

export interface AdminDoor {
  readonly whole: Whole
  /** Whatever is neither health nor metrics. */
  answer(exchange: Exchange): Promise<void>
}

export interface AdminDoorDeps {
  readonly host: string
  /** Those that clients pull from, once they are bound. */
  readonly listeners: () => readonly Listener[]
  readonly ending: AbortSignal
  readonly reload: () => Promise<Reloaded>
  readonly seat: Seat
  /** To the other workers, where there are any. */
  readonly post: Post | undefined
}

export async function openAdmin(app: App, deps: AdminDoorDeps): Promise<AdminDoor> {
  const { host, listeners, ending, reload, seat, post } = deps
  const tasks = new Tasks(app.clock, idsAfter(seat))
  const state = new AdminState({
    ...app,
    tasks,
    version: readVersion(),
    startedAt: seat.startedAt,
    listeners: () => listeners().map(entranceOf),
  })
  const own = oneProcess({ ...app, state, tasks, reload })
  const whole = post === undefined ? own : amongWorkers(app, { own, state, ending, seat, post })
  const admin: AdminDeps = {
    guard: adminGuard(host, app.adminAccess),
    whole,
    broadcast: new Broadcast({ read: () => whole.state(), everyMs: EVERY_MS, quietMs: QUIET_MS }),
    images: { ...app, reads: (digests) => whole.reads(digests) },
    reports: new StoreReports(app),
    tasks,
    actions: actionsOn(app),
    assets: await readAssets(),
    parseImage: (text) => parseAskedImage(text, app),
    ending,
  }
  return { whole, answer: (exchange) => answerAdmin(exchange, admin) }
}

/** Answers the others, and asks them. */
function amongWorkers(
  { activity, telemetry }: App,
  {
    own,
    state,
    ending,
    seat,
    post,
  }: Pick<AdminDoorDeps, 'ending' | 'seat'> & {
    readonly own: Whole
    readonly state: AdminState
    readonly post: Post
  },
): Whole {
  post.tallyBy(() => tallyOf(activity))
  const share = async () => {
    const own = await shareOf(state, activity)
    post.tellTally()
    return own
  }
  post.answerWith(answeringWith(own, share, () => telemetry.metrics(), ending))
  return new AllWorkers({ own, share, seat, post })
}

function entranceOf({ config, port }: Listener): Entrance {
  const { host, tls, profile = null } = config
  return { host, port, scheme: tls === undefined ? 'http' : 'https', profile }
}
