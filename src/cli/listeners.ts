/** The listeners of a process that serves: one for each address that clients pull from, and the admin listener. */
import type { App } from '../app.ts'
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
  type ListenerEvents,
  listen,
} from '../http/server.ts'
import { live } from '../lib/live.ts'
import type { RequestEvent } from '../lib/request-event.ts'
import { Shares } from '../lib/shares.ts'
import { toldOnce } from '../lib/told-once.ts'
import type { Reach } from '../setup/setup.ts'
import { Touches } from '../upkeep/touches.ts'
import { type AdminDoorDeps, openAdmin } from './admin-door.ts'
import { hostFor } from './greeting.ts'
import type { ServerState } from './shutdown.ts'

export async function openListeners(
  app: App,
  state: ServerState,
  among: Pick<AdminDoorDeps, 'seat' | 'post'>,
): Promise<Listener[]> {
  const { config } = app
  const { clients: limits } = app.settings
  const rules: DoorRules = {
    limits,
    // A connection has one request under way; behind reverse proxies requests are all that can be counted.
    requests: new Shares(
      live(() => ({ total: limits.connections, each: limits.clientConnections })),
    ),
    open: state.open,
    held: new HeldBodies(among.seat.of),
  }
  const health = {
    check: () => app.check(),
    isDraining: () => state.draining.signal.aborted,
  }
  const distribution = createDistribution(app, among.seat.of)
  const events: ListenerEvents = app.telemetry
  const requestDone = (event: RequestEvent) => events.requestDone(event)
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
        await listenOn(answer, { ...listener, isAdmin: false }, limits, events, '--listen'),
      )
    }
    if (config.admin !== undefined) {
      const doors = [...listeners]
      const reload = async () => await (await state.reload.promise)()
      const { whole, answer } = await openAdmin(app, {
        ...{ ...among, reload, host: config.admin.host, ending: state.draining.signal },
        listeners: () => doors,
      })
      const admin = createApp(
        answer,
        requestDone,
        (routes, seen) => {
          addHealth(routes, seen, health)
          addMetrics(routes, seen, () => whole.metricsText())
        },
        { ...rules, isForOperators: true },
      )
      listeners.push(
        await listenOn(admin, { ...config.admin, isAdmin: true }, limits, events, '--admin'),
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

function createDistribution(app: App, workers: number): Distribution {
  const { config, upstreams, profiles, settings } = app
  const { offline } = config.cache
  const touches = new Touches({
    ...app,
    outline: (raw) => app.manifests.outline(raw),
    policy: settings.keeping,
  })
  return new Distribution({
    ...{ config, workers },
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
  events: ListenerEvents,
  option: '--listen' | '--admin',
): Promise<Listener> {
  try {
    return await listen(door, config, limits, events)
  } catch (error) {
    const where = `${formatHost(config.host)}:${config.port}`
    throw new CrossdockError(
      'internal',
      `cannot listen on ${where}: ${error instanceof Error ? error.message : error}; choose another address with ${option} or stop what uses it`,
      { cause: error },
    )
  }
}
