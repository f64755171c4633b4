/**
 * What the configuration in force says, in the words of those who go by it. Each part is an object that stays while its values are
 * replaced, all of them in one step: whoever reads a value when it is needed goes by the configuration of now.
 */
import { availableParallelism } from 'node:os'
import type { PlaceOf } from './config/problem.ts'
import { profilesOf } from './config/profiles.ts'
import { conversionJobs } from './config/conversion-jobs.ts'
import type { Config } from './config/schema.ts'
import { upstreamSettings } from './config/upstream-files.ts'
import { clientAddressBehind, proxyAmong } from './http/client-address.ts'
import { compileRules } from './naming.ts'
import { live } from './lib/live.ts'
import { DEFAULT_MODEL_LIMITS, type ModelLimits } from './oci/manifest.ts'
import { parsePlatform } from './oci/platform.ts'

type Values = ReturnType<typeof valuesOf>

export type Settings = Values & {
  /** Takes the values of another configuration. */
  replace(config: Config): void
}

/** One client may have a quarter of the connections, unless the configuration says otherwise. */
const CLIENT_SHARE = 4

/** What one pull may open at a time. */
const LEAST_CONNECTIONS = 8

/** `workers`: how many processes serve together; what one machine bounds is divided among them. */
export function createSettings(config: Config, workers = 1): Settings {
  const divided = dividedBy(workers)
  let now = valuesOf(config, divided)
  const part = <K extends keyof Values>(key: K): Values[K] => live(() => now[key])
  return {
    config: part('config'),
    profiles: part('profiles'),
    model: part('model'),
    decoding: part('decoding'),
    downloads: part('downloads'),
    freshness: part('freshness'),
    conversion: part('conversion'),
    waiting: part('waiting'),
    keeping: part('keeping'),
    clients: part('clients'),
    replace(next) {
      now = valuesOf(next, divided)
    },
  }
}

/** One process's part of what all together may have: one at least. */
type Divided = (sum: number) => number

function dividedBy(workers: number): Divided {
  return (sum) => (workers === 1 ? sum : Math.max(1, Math.ceil(sum / workers)))
}

function valuesOf(config: Config, divided: Divided) {
  const { cache, convert, limits } = config
  const cores = availableParallelism()
  return {
    config,
    profiles: profilesOf(config),
    /** Of what is read as a manifest, config or layer. */
    model: modelLimits(limits),
    decoding: { maxOutput: limits.layerUncompressed, maxWindowLog: limits.zstdWindowLog },
    downloads: {
      downloads: divided(limits.downloads),
      abandonedRate: limits.abandonedRate,
      abandonedWait: limits.abandonedWait,
      clientDisk: divided(limits.clientDisk ?? Number.POSITIVE_INFINITY),
      placeWaitMs: convert.headerWait,
    },
    freshness: {
      offline: cache.offline,
      tagWindowMs: cache.tagWindow,
      staleWindowMs: cache.staleWindow,
    },
    conversion: {
      jobs: divided(conversionJobs(config, cores)),
      maxFlights: divided(cores + limits.queue),
      abandonedRate: limits.abandonedRate,
      maxUncompressed: limits.imageUncompressed,
      defaultPlatforms: convert.defaultPlatforms.map(parsePlatform),
    },
    waiting: {
      rules: compileRules(config.rules),
      headerWaitMs: convert.headerWait,
      waitBudgetMs: convert.waitBudget,
    },
    keeping: {
      maxSize: cache.maxSize,
      leaseMs: cache.lease,
      dedup: cache.dedup,
      scrub: { rate: cache.scrub.rate, intervalMs: cache.scrub.interval },
    },
    clients: clientLimits(config, divided),
  }
}

function modelLimits(limits: Config['limits']): ModelLimits {
  return {
    ...DEFAULT_MODEL_LIMITS,
    maxManifestBytes: limits.manifestSize,
    maxConfigBytes: limits.configSize,
    maxLayers: limits.layers,
    maxIndexEntries: limits.indexEntries,
    maxBlobBytes: limits.blobSize,
    maxImageBytes: limits.imageSize,
  }
}

/** One host sees the sum of all processes. */
export function upstreamLimits(limits: Config['limits'], workers: number): Config['limits'] {
  const divided = dividedBy(workers)
  return {
    ...limits,
    upstreamConnections: divided(limits.upstreamConnections),
    upstreamQueue: divided(limits.upstreamQueue),
  }
}

function clientLimits({ limits, trustedProxies, hostnames }: Config, divided: Divided) {
  const { connections, clientConnections = Math.ceil(connections / CLIENT_SHARE) } = limits
  return {
    requestHeaderBytes: limits.requestHeader,
    headersTimeoutMs: limits.clientHeaders,
    keepAliveMs: limits.keepAlive,
    clientIdleMs: limits.clientIdle,
    connections: divided(connections),
    // Connections are dealt out evenly on the whole, not client by client.
    clientConnections: Math.max(LEAST_CONNECTIONS, divided(clientConnections)),
    isProxy: proxyAmong(trustedProxies),
    addressOf: clientAddressBehind(trustedProxies),
    hostnames,
  }
}

/** How upstreams are reached. */
export async function upstreamsOf(
  config: Config,
  {
    dockerConfig,
    placeOf,
  }: { readonly dockerConfig: string | undefined; readonly placeOf: PlaceOf },
  workers: number,
) {
  return {
    upstreams: await upstreamSettings(config, placeOf),
    defaultUpstream: config.defaultUpstream,
    allowAnyUpstream: config.allowAnyUpstream,
    allowAnyTokenService: config.allowAnyTokenService,
    dockerConfig: dockerConfig === undefined ? undefined : { path: dockerConfig },
    limits: upstreamLimits(config.limits, workers),
  }
}
