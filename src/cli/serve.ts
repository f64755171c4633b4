/** `crossdock serve`: listeners up, greeting printed, drained on SIGTERM. */
import type { App } from '../app.ts'
import { refuseOpenCredentials, refuseOpening } from '../config/credentials.ts'
import { checkListenerFiles } from '../config/listener-files.ts'
import type { Config } from '../config/schema.ts'
import { CrossdockError } from '../errors.ts'
import { clientAddressBehind, proxyAmong } from '../http/client-address.ts'
import { Distribution } from '../http/distribution.ts'
import { Gate } from '../http/gate.ts'
import { Lists } from '../http/lists.ts'
import { addAdmin, addHealth } from '../http/operations.ts'
import {
  createApp,
  type Door,
  formatHost,
  type Listener,
  type ListenerConfig,
  listen,
  type ServerLimits,
} from '../http/server.ts'
import { compileRules } from '../http/target.ts'
import { Shares } from '../lib/shares.ts'
import type { RequestEvent } from '../lib/telemetry.ts'
import type { Reach } from '../setup/clients.ts'
import { acquireServerLock } from '../store/lock.ts'
import { Touches } from '../upkeep/touches.ts'
import { greeting, hostFor, tellStart } from './greeting.ts'
import { keepHouse } from './housekeeping.ts'
import { tellReady } from './service-manager.ts'
import { type CommonOptions, loadFor, openServer } from './session.ts'
import { type ServerState, shutDown } from './shutdown.ts'
import type { System } from './system.ts'

/** One client may have a quarter of the connections, unless the configuration says otherwise. */
const CLIENT_SHARE = 4

/** Resolves with the exit code when a signal said so. */
export async function serveCommand(options: CommonOptions, system: System): Promise<number> {
  const { config, origin } = await loadFor(options, system)
  refuseOpenCredentials(config)
  await checkListenerFiles(config)
  const signals = system.signals()
  await using _lock = await acquireServerLock(config.data)
  const app = await openServer(config, system)
  const state: ServerState = { draining: new AbortController(), open: new Set() }
  const listeners = await openListeners(app, state).catch(async (error) => {
    await app[Symbol.asyncDispose]()
    throw error
  })
  const keeper = keepHouse(app)
  tellStart(app, listeners, origin.file)
  // Who asked for JSON gets nothing else.
  const isSilent = options.quiet === true || config.log.format === 'json'
  if (!isSilent) system.output.out(await greeting(app, listeners))
  signals.onReload(() => void reloadAccess(app, options, system))
  tellReady(system.env).catch((error) => app.telemetry.readinessUntold(error))
  await signals.first
  state.draining.abort()
  app.telemetry.log.info({ event: 'draining' }, 'finishing requests before the end')
  return await shutDown({ app, keeper, listeners, open: state.open }, signals)
}

/** On SIGHUP: users and policy of now, or of before when the new ones cannot be used. */
async function reloadAccess(app: App, options: CommonOptions, system: System): Promise<void> {
  const { log } = app.telemetry
  try {
    const { config } = await loadFor(options, system)
    refuseOpening(app.config, config)
    app.access.replace(await app.readAccess(config))
    log.info({ event: 'access_reloaded' }, 'users and policy were read again')
  } catch (error) {
    log.error(
      { event: 'access_kept', reason: error instanceof Error ? error.message : String(error) },
      'the configuration cannot be used; users and policy stay as they were',
    )
  }
}

async function openListeners(app: App, state: ServerState): Promise<Listener[]> {
  const { config } = app
  const { connections, clientConnections = Math.ceil(connections / CLIENT_SHARE) } = config.limits
  const limits: ServerLimits = {
    requestHeaderBytes: config.limits.requestHeader,
    headersTimeoutMs: config.limits.clientHeaders,
    keepAliveMs: config.limits.keepAlive,
    connections,
    clientConnections,
    isProxy: proxyAmong(config.trustedProxies),
  }
  const rules = {
    clientIdleMs: config.limits.clientIdle,
    addressOf: clientAddressBehind(config.trustedProxies),
    // A connection has one request under way; behind reverse proxies requests are all that can be counted.
    requests: new Shares({ total: connections, each: clientConnections }),
    open: state.open,
  }
  const health = {
    check: () => app.catalog.check(),
    isDraining: () => state.draining.signal.aborted,
  }
  const distribution = createDistribution(app)
  const requestDone = (event: RequestEvent) => app.telemetry.requestDone(event)
  const { hostnames } = config
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
        await listenOn(
          answer,
          { ...listener, hostnames, isAdmin: false },
          limits,
          requestDone,
          '--listen',
        ),
      )
    }
    if (config.admin !== undefined) {
      const admin = createApp(
        () => Promise.reject(notAdmin()),
        requestDone,
        (routes, seen) => {
          addHealth(routes, seen, health)
          addAdmin(routes, seen, {
            metricsText: () => app.telemetry.metricsText(),
            progress: app.progress,
            ending: state.draining.signal,
          })
        },
        rules,
      )
      listeners.push(
        await listenOn(
          admin,
          { ...config.admin, hostnames, isAdmin: true },
          limits,
          requestDone,
          '--admin',
        ),
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
  const { config, upstreams, profiles } = app
  const { offline } = config.cache
  const touches = new Touches({
    ...app,
    outline: (raw) => app.manifests.outline(raw),
    leaseMs: config.cache.lease,
  })
  return new Distribution({
    config,
    pulls: app.pulls,
    blobs: app.blobs,
    lists: new Lists({ ...app, offline }),
    profiles,
    names: { upstreams, offline },
    rules: compileRules(config.rules),
    access: app.access,
    gate: new Gate(app),
    clock: app.clock,
    headerWaitMs: config.convert.headerWait,
    waitBudgetMs: config.convert.waitBudget,
    served: (what, from) => app.telemetry.served(what, from),
    touch: (digest) => touches.blob(digest),
    handedOut: (manifest) => touches.manifest(manifest),
  })
}

async function listenOn(
  door: Door,
  config: ListenerConfig,
  limits: ServerLimits,
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

function notAdmin(): CrossdockError {
  return new CrossdockError(
    'notFound',
    'this is the admin listener: it has /healthz, /readyz, /metrics and /api/conversions',
  )
}
