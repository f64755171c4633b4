/** `crossdock serve`: listeners up, greeting printed, drained on SIGTERM. */
import { availableParallelism, totalmem } from 'node:os'
import type { App } from '../app.ts'
import { systemClock } from '../clock.ts'
import { refuseOpenCredentials } from '../config/credentials.ts'
import { checkListenerFiles } from '../config/listener-files.ts'
import type { LoadedConfig } from '../config/load.ts'
import { type Machine, workersOf } from '../config/workers.ts'
import type { Listener } from '../http/server.ts'
import { createLogger } from '../lib/log.ts'
import { holdStore } from '../store/hold.ts'
import { Post } from '../workers/post.ts'
import { ALONE, type Seat } from '../workers/seat.ts'
import { greeting, startFacts, tellStart } from './greeting.ts'
import { keepHouse } from './housekeeping.ts'
import { openListeners } from './listeners.ts'
import { EXIT } from './output.ts'
import { openPeerDoor } from './peer-door.ts'
import { Reload } from './reload.ts'
import { tellReady } from './service-manager.ts'
import { type CommonOptions, decided, loadFor, openServer, sayWait } from './session.ts'
import { GIVE_BACK_SHARE, type ServerState, type Signals, shutDown } from './shutdown.ts'
import { supervise } from './supervise.ts'
import type { System } from './system.ts'

/** Resolves with the exit code when a signal said so. */
export async function serveCommand(options: CommonOptions, system: System): Promise<number> {
  const { supervisor } = system.processes
  if (supervisor !== undefined) return await serveAsWorker(new Post(supervisor), options, system)
  const signals = system.signals()
  const asked = await loadFor(options, system)
  const loaded = decided(asked, system)
  refuseOpenCredentials(loaded.config, loaded.origin.of)
  await checkListenerFiles(loaded.config, loaded.origin.of)
  const start = { isOver: false }
  const serving = serveOrSupervise({ asked, loaded, options, system, signals, start })
  const early = signals.first.then(() => (start.isOver ? serving : leaveStart(loaded, system)))
  return await Promise.race([serving, early])
}

/** What was begun is left as it is, as after a crash: a shared store may take long to answer, and a catalog to be made. */
function leaveStart({ config }: LoadedConfig, system: System): number {
  system.signals().abandon()
  const log = createLogger(config.log, system.log)
  log.info({ event: 'stopped' }, 'ended before anything was served')
  return EXIT.ok
}

function thisMachine(): Machine {
  // Without a limit it is 0, or more than any machine has.
  const limit = process.constrainedMemory() || totalmem()
  return { cores: availableParallelism(), memory: Math.min(limit, totalmem()) }
}

interface Start {
  isOver: boolean
}

async function serveOrSupervise(given: {
  readonly asked: LoadedConfig
  readonly loaded: LoadedConfig
  readonly options: CommonOptions
  readonly system: System
  readonly signals: Signals
  readonly start: Start
}): Promise<number> {
  const { asked, loaded, options, system, signals, start } = given
  const { config, origin } = loaded
  await using held = await holdStore({
    data: config.data,
    place: config.store,
    clock: systemClock,
    waits: sayWait(system),
    endMs: config.shutdownGrace * GIVE_BACK_SHARE,
  })
  // Who asked for JSON gets nothing else.
  const isSilent = options.quiet === true || asked.config.log.format === 'json'
  const count = workersOf(config, thisMachine())
  const isOver = () => {
    start.isOver = true
  }
  if (count > 1) {
    return await supervise({ ...{ loaded, count, signals, system, isSilent }, started: isOver })
  }
  return await serve({
    ...{ loaded, options, system, signals, seat: ALONE, lost: held.lost, post: undefined },
    started: async (app, listeners, peers) => {
      isOver()
      tellStart(app.telemetry.log, startFacts(app, listeners, origin.file, peers))
      if (!isSilent) system.output.out(await greeting(app, listeners))
      tellReady(system.env).catch((error) => app.telemetry.readinessUntold(error))
    },
  })
}

/** By what its supervisor tells it, which has the folder, and whose signals count: a terminal sends them to all processes. */
async function serveAsWorker(post: Post, options: CommonOptions, system: System): Promise<number> {
  const { onReload, abandon } = system.signals()
  const byItsSupervisor = () => undefined
  onReload(byItsSupervisor)
  const { seat, config, file } = await post.begin()
  return await serve({
    ...{ options, system, seat, post },
    loaded: { config, origin: { file, of: () => file ?? 'default' } },
    signals: {
      first: post.draining,
      second: post.hurried,
      onReload: byItsSupervisor,
      abandon,
    },
    lost: new Promise<never>(() => undefined),
    started: async (app, listeners, peers) => {
      const facts = startFacts(app, listeners, file, peers)
      post.ready({ facts, greeting: await greeting(app, listeners) })
    },
  })
}

interface Serving {
  readonly loaded: LoadedConfig
  readonly options: CommonOptions
  readonly system: System
  readonly signals: Signals
  readonly seat: Seat
  /** To the supervisor, where there is one. */
  readonly post: Post | undefined
  /** Rejects when another server has taken the store over. */
  readonly lost: Promise<never>
  /** All listeners are there; `peers`: where other servers are told to reach this one. */
  readonly started: (
    app: App,
    listeners: readonly Listener[],
    peers: string | undefined,
  ) => Promise<void>
}

async function serve(serving: Serving): Promise<number> {
  const { loaded, options, system, signals, seat, post, lost, started } = serving
  const app = await openServer(loaded, system, seat, () => post?.damaged())
  const state: ServerState = {
    draining: new AbortController(),
    open: new Set(),
    reload: Promise.withResolvers(),
  }
  const end = async (error: unknown) => {
    await app[Symbol.asyncDispose]()
    throw error
  }
  await using peers = await openPeerDoor(app).catch(end)
  const listeners = await openListeners(app, state, { seat, post }).catch(end)
  const keeper = keepHouse(app)
  const reload = new Reload({ app, listeners, keeper, options, system, post }, loaded.config)
  // The log says what came of it.
  signals.onReload(() => void reload.run().catch(() => undefined))
  state.reload.resolve(() => reload.asked())
  post?.answerWith({ reload: () => reload.asked() })
  post?.borrow(app.slots)
  post?.onEnded((numbers) => app.coordination?.siblingsEnded(numbers).catch(() => undefined))
  await started(app, listeners, peers?.address)
  const takenOver = await Promise.race([signals.first, lost]).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  state.draining.abort()
  for (const one of listeners) one.lastCall()
  app.telemetry.log.info({ event: 'draining' }, 'finishing requests before the end')
  if (takenOver === undefined) await noticed(app.config.shutdownDelay, signals)
  const code = await shutDown({ app, keeper, listeners, open: state.open }, signals)
  if (takenOver !== undefined) throw takenOver.error
  return code
}

/** As before, but for `/readyz`, and for as long as load balancers may take to see that. */
async function noticed(delayMs: number, { second }: Signals): Promise<void> {
  const hurry = new AbortController()
  void second.then(() => hurry.abort())
  await systemClock.sleep(delayMs, hurry.signal).catch(() => undefined)
}
