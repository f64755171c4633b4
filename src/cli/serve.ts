/** `crossdock serve`: listeners up, greeting printed, drained on SIGTERM. */
import type { App } from '../app.ts'
import { refuseOpenCredentials } from '../config/credentials.ts'
import { checkListenerFiles } from '../config/listener-files.ts'
import type { Config } from '../config/schema.ts'
import { CrossdockError } from '../errors.ts'
import { Distribution } from '../http/distribution.ts'
import { Gate } from '../http/gate.ts'
import { HeldBodies } from '../http/held-bodies.ts'
import { Lists } from '../http/lists.ts'
import { addHealth, addMetrics } from '../http/operations.ts'
import {
  createApp,
  type Door,
  type DoorRules,
  formatHost,
  type Listener,
  type ListenerConfig,
  listen,
} from '../http/server.ts'
import { live } from '../lib/live.ts'
import type { RequestEvent } from '../lib/request-event.ts'
import { Shares } from '../lib/shares.ts'
import { toldOnce } from '../lib/told-once.ts'
import type { Reach } from '../setup/setup.ts'
import { systemClock } from '../clock.ts'
import { holdStore } from '../store/hold.ts'
import { Touches } from '../upkeep/touches.ts'
import { openAdmin } from './admin-door.ts'
import { greeting, hostFor, tellStart } from './greeting.ts'
import { keepHouse } from './housekeeping.ts'
import { openPeerDoor } from './peer-door.ts'
import { Reload } from './reload.ts'
import { tellReady } from './service-manager.ts'
import { type CommonOptions, decided, loadFor, openServer } from './session.ts'
import { type ServerState, shutDown } from './shutdown.ts'
import type { System } from './system.ts'

/** Resolves with the exit code when a signal said so. */
export async function serveCommand(options: CommonOptions, system: System): Promise<number> {
  const asked = await loadFor(options, system)
  const loaded = decided(asked, system)
  const { config, origin } = loaded
  refuseOpenCredentials(config, origin.of)
  await checkListenerFiles(config, origin.of)
  const signals = system.signals()
  await using held = await holdStore({
    data: config.data,
    place: config.store,
    clock: systemClock,
    waits: ({ host, place, ms }) =>
      system.output.err(
        `waiting up to ${ms / 1000} s to see whether the server on ${host} still uses ${place}\n`,
      ),
  })
  const app = await openServer(loaded, system)
  const state: ServerState = {
    draining: new AbortController(),
    open: new Set(),
    reload: Promise.withResolvers(),
  }
  const end = async (error: unknown) => {
    await app[Symbol.asyncDispose]()
    throw error
  }
  await using _peers = await openPeerDoor(app).catch(end)
  const listeners = await openListeners(app, state).catch(end)
  const keeper = keepHouse(app)
  tellStart(app, listeners, origin.file)
  // Who asked for JSON gets nothing else.
  const isSilent = options.quiet === true || asked.config.log.format === 'json'
  if (!isSilent) system.output.out(await greeting(app, listeners))
  const reload = new Reload({ app, listeners, keeper, options, system }, config)
  // The log says what came of it.
  signals.onReload(() => void reload.run().catch(() => undefined))
  state.reload.resolve(() => reload.asked())
  tellReady(system.env).catch((error) => app.telemetry.readinessUntold(error))
  const takenOver = await Promise.race([signals.first, held.lost]).then(
    () => undefined,
    (error: unknown) => ({ error }),
  )
  state.draining.abort()
  app.telemetry.log.info({ event: 'draining' }, 'finishing requests before the end')
  const code = await shutDown({ app, keeper, listeners, open: state.open }, signals)
  if (takenOver !== undefined) throw takenOver.error
  return code
}

async function openListeners(app: App, state: ServerState): Promise<Listener[]> {
  const { config } = app
  const { clients: limits } = app.settings
  const rules: DoorRules = {
    limits,
    // A connection has one request under way; behind reverse proxies requests are all that can be counted.
    requests: new Shares(
      live(() => ({ total: limits.connections, each: limits.clientConnections })),
    ),
    open: state.open,
    held: new HeldBodies(),
  }
  const health = {
    check: () => app.check(),
    isDraining: () => state.draining.signal.aborted,
  }
  const distribution = createDistribution(app)
  const requestDone = (event: RequestEvent) => app.telemetry.requestDone(event)
  const listeners: Listener[] = []
  try {
    for (const listener of config.listen) {
      const answer = createApp(
        (exchange) => distribution.answer(exchange, { ...listener, reach: reachOf(listener) }),
        requestDone,
        (routes, seen) => addHealth(routes, seen, health),
        rules,
      )
      listeners.push(
        await listenOn(answer, { ...listener, isAdmin: false }, limits, requestDone, '--listen'),
      )
    }
    if (config.admin !== undefined) {
      const doors = [...listeners]
      const reload = async () => await (await state.reload.promise)()
      const { signal } = state.draining
      const answer = await openAdmin(app, config.admin.host, () => doors, signal, reload)
      const admin = createApp(
        answer,
        requestDone,
        (routes, seen) => {
          addHealth(routes, seen, health)
          addMetrics(routes, seen, () => app.telemetry.metricsText())
        },
        rules,
      )
      listeners.push(
        await listenOn(admin, { ...config.admin, isAdmin: true }, limits, requestDone, '--admin'),
      )
    }
    return listeners
  } catch (error) {
    for (const one of listeners) one.closeConnections()
    throw error
  }
}

function reachOf({ host, port, tls }: Config['listen'][number]): Reach {
  const address = `${hostFor(host)}:${port}`
  return { address, scheme: tls === undefined ? 'http' : 'https' }
}

function createDistribution(app: App): Distribution {
  const { config, upstreams, profiles, settings } = app
  const { offline } = config.cache
  const touches = new Touches({
    ...app,
    outline: (raw) => app.manifests.outline(raw),
    policy: settings.keeping,
  })
  return new Distribution({
    config,
    pulls: app.pulls,
    blobs: app.blobs,
    lists: new Lists({ ...app, offline }),
    profiles,
    names: { upstreams, offline },
    access: app.access,
    attachments: app.attachments,
    gate: new Gate(app),
    clock: app.clock,
    settings: settings.waiting,
    served: (what, from) => app.telemetry.served(what, from),
    unreadable: toldOnce(
      ({ image }) => image,
      (what) => app.telemetry.clientCannotRead(what),
    ),
    touch: (digest) => touches.blob(digest),
    handedOut: (manifest) => touches.manifest(manifest),
  })
}

async function listenOn(
  door: Door,
  config: ListenerConfig,
  limits: App['settings']['clients'],
  requestDone: (event: RequestEvent) => void,
  option: '--listen' | '--admin',
): Promise<Listener> {
  try {
    return await listen(door, config, limits, requestDone)
  } catch (error) {
    const where = `${formatHost(config.host)}:${config.port}`
    throw new CrossdockError(
      'internal',
      `cannot listen on ${where}: ${error instanceof Error ? error.message : error}; choose another address with ${option} or stop what uses it`,
      { cause: error },
    )
  }
}
