/** The composition root: configuration in, everything wired together out. The only file that knows every concrete class. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Access, type AccessRules } from './access/access.ts'
import { createBcrypt } from './access/bcrypt.ts'
import { readAccessRules } from './access/rules.ts'
import { type Profiles, profilesOf } from './config/profiles.ts'
import type { Config } from './config/schema.ts'
import { upstreamSettings } from './config/upstream-files.ts'
import { Children } from './convert/children.ts'
import { Contents } from './convert/contents.ts'
import { Assembler } from './convert/assembly.ts'
import { ImageWriter } from './convert/image-writer.ts'
import { Images } from './convert/images.ts'
import { LayerConversion, type LayerEvents } from './convert/layer-conversion.ts'
import { Layers } from './convert/layers.ts'
import { LearnedPlatforms } from './convert/learned-platforms.ts'
import { Origins } from './convert/origins.ts'
import { Progress } from './convert/progress.ts'
import { Publisher } from './convert/publisher.ts'
import { Pulls } from './convert/pulls.ts'
import { RecordImages, type Regenerate } from './convert/record-images.ts'
import { Records } from './convert/records.ts'
import { Regenerations } from './convert/regenerations.ts'
import { Remaker } from './convert/remaker.ts'
import { Setbacks } from './convert/setbacks.ts'
import { Staging } from './convert/staging.ts'
import { Substitutes } from './convert/substitutes.ts'
import { Wishes } from './convert/wishes.ts'
import { chooseRecord, compileRules, locate } from './http/target.ts'
import { systemClock } from './lib/clock.ts'
import type { LineSink } from './lib/lines.ts'
import { createTelemetry, type Telemetry } from './lib/telemetry.ts'
import { DEFAULT_MODEL_LIMITS, type ModelLimits } from './oci/manifest.ts'
import { parsePlatform } from './oci/platform.ts'
import type { Pins } from './pins.ts'
import type { Catalog, Clock, SidecarStore } from './ports.ts'
import { Blobs } from './pull/blobs.ts'
import { Manifests } from './pull/manifests.ts'
import { Tags } from './pull/tags.ts'
import { openStore } from './store/open.ts'
import { Collector } from './upkeep/collector.ts'
import { Healer } from './upkeep/healing.ts'
import { MeteredBlobs } from './upkeep/metered-blobs.ts'
import { Pinned } from './upkeep/pinned.ts'
import { Returns } from './upkeep/returns.ts'
import { Verifier } from './upkeep/verification.ts'
import { createUpstreams, type Registries } from './upstream/upstreams.ts'

export interface App extends AsyncDisposable {
  readonly config: Config
  readonly access: Access
  /** Users and policy of a configuration, as they are now. */
  readAccess(config: Config): Promise<AccessRules>
  readonly profiles: Profiles
  /** Of what is read as a manifest, config or layer. */
  readonly limits: ModelLimits
  readonly telemetry: Telemetry
  readonly clock: Clock
  readonly store: MeteredBlobs
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly upstreams: Registries
  readonly tags: Tags
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly layers: Layers
  readonly regenerations: Regenerations
  readonly images: Images
  readonly publisher: Publisher
  readonly recordImages: RecordImages
  readonly pulls: Pulls
  readonly staging: Staging
  readonly progress: Progress
  readonly pins: Pins
  readonly pinned: Pinned
  readonly collector: Collector
  readonly verifier: Verifier
}

export interface Surroundings {
  readonly env: NodeJS.ProcessEnv
  readonly log: LineSink
  /** Where the Docker client keeps credentials; `undefined`: they are not used. */
  readonly dockerConfig: string | undefined
}

export async function openApp(config: Config, around: Surroundings): Promise<App> {
  const clock = systemClock
  const telemetry = createTelemetry(config.log, around.log, (name) =>
    upstreams.names.includes(name),
  )
  const profiles = profilesOf(config)
  const { offline } = config.cache
  const limits = {
    ...DEFAULT_MODEL_LIMITS,
    maxManifestBytes: config.limits.manifestSize,
    maxConfigBytes: config.limits.configSize,
    maxLayers: config.limits.layers,
    maxIndexEntries: config.limits.indexEntries,
    maxBlobBytes: config.limits.blobSize,
    maxImageBytes: config.limits.imageSize,
  }
  const {
    blobs: onDisk,
    sidecars,
    catalog,
    pins,
    ...opened
  } = await openStore({
    data: config.data,
    clock,
    onCatalogReplaced: (loss) => telemetry.catalogReplaced(loss),
  })
  const store = new MeteredBlobs(onDisk)
  const upstreams = createUpstreams({
    upstreams: await upstreamSettings(config),
    defaultUpstream: config.defaultUpstream,
    allowAnyUpstream: config.allowAnyUpstream,
    allowAnyTokenService: config.allowAnyTokenService,
    dockerConfig: around.dockerConfig === undefined ? undefined : { path: around.dockerConfig },
    limits: config.limits,
    clock,
    random: Math.random,
    env: around.env,
    events: {
      upstreamRequest: (request) => telemetry.upstreamRequest(request),
      upstreamError: (error) => telemetry.upstreamError(error),
      upstreamQuota: (quota) => telemetry.upstreamQuota(quota),
    },
  })
  const blobs = new Blobs({
    store,
    catalog,
    upstreams,
    offline,
    clock,
    limits: { ...config.limits, clientDisk: config.limits.clientDisk ?? Number.POSITIVE_INFINITY },
    placeWaitMs: config.convert.headerWait,
    events: { fetched: (fetch) => telemetry.blobFetched(fetch) },
  })
  const manifests = new Manifests({ store, sidecars, catalog, upstreams, blobs, limits, offline })
  const tags = new Tags({
    catalog,
    sidecars,
    manifests,
    upstreams,
    clock,
    policy: {
      offline,
      tagWindowMs: config.cache.tagWindow,
      staleWindowMs: config.cache.staleWindow,
    },
  })
  const cores = availableParallelism()
  const decodeLimits = {
    maxOutput: config.limits.layerUncompressed,
    maxWindowLog: config.limits.zstdWindowLog,
  }
  const layerEvents: LayerEvents = {
    converted: (layer) => telemetry.layerConverted(layer),
    fellBack: (layer) => telemetry.layerFellBack(layer),
    replaced: (layer) => regenerations.forget(layer),
    used: (digest) => catalog.usage.touch(digest, clock.now()),
  }
  const origins = new Origins({ blobs, catalog })
  const conversion = new LayerConversion({
    store,
    catalog,
    blobs,
    origins,
    limits: decodeLimits,
    concurrency: cores,
    events: layerEvents,
  })
  const layers = new Layers({
    store,
    catalog,
    blobs,
    origins,
    conversion,
    clock,
    // More layers than cores: some wait for upstream while others keep the cores busy.
    jobs: config.convert.jobs === 'auto' ? cores * 2 : config.convert.jobs,
    events: layerEvents,
  })
  const regenerations = new Regenerations({
    catalog,
    layers,
    clock,
    events: { irreproducible: (layer) => telemetry.irreproducible(layer) },
  })
  const progress = new Progress(() => clock.now())
  const publisher = new Publisher({ manifests, sidecars, catalog })
  const assembler = new Assembler({ store, manifests, blobs, regenerations })
  const remaker = new Remaker({ catalog, manifests, store, assembler, publisher, clock })
  const setbacks = new Setbacks({ left: (child) => telemetry.childLeft(child) })
  const writer = new ImageWriter({
    setbacks,
    catalog,
    publisher,
    assembler,
    blobs,
    layers,
    progress,
    clock,
    maxUncompressed: config.limits.imageUncompressed,
  })
  const contents = new Contents({ blobs, upstreams, offline })
  const images = new Images({
    contents,
    setbacks,
    catalog,
    manifests,
    writer,
    progress,
    clock,
    maxFlights: cores + config.limits.queue,
    abandonedRate: config.limits.abandonedRate,
    events: { converted: (image) => telemetry.imageConverted(image) },
  })
  const defaultPlatforms = config.convert.defaultPlatforms.map(parsePlatform)
  const regenerate: Regenerate = (repository, digest) => regenerations.open(repository, digest)
  const recordImages = new RecordImages({
    ...{ catalog, manifests, blobs, upstreams, offline, regenerate },
    platforms: defaultPlatforms,
  })
  const rules = compileRules(config.rules)
  const records = new Records({
    ...{ store, sidecars, catalog, tags, manifests, upstreams, clock, offline },
    images: recordImages,
    configured: (repository, profile) => chooseRecord(repository, rules, profile),
    locate: (name) => locate(name, undefined, { upstreams, offline }),
    readFile: (path) => readFile(path),
    windowMs: config.cache.tagWindow,
  })
  const learned = new LearnedPlatforms({ catalog: catalog.platforms, clock })
  const children = new Children({
    store,
    catalog,
    manifests,
    images,
    learned,
    defaultPlatforms,
    offline,
  })
  const wishes = new Wishes({ unfulfilled: (wish) => telemetry.wishUnfulfilled(wish) })
  const pulls = new Pulls({
    catalog,
    tags,
    manifests,
    blobs,
    images,
    regenerations,
    remaker,
    profiles,
    records,
    wishes,
    children,
    setbacks,
    substitutes: offline ? new Substitutes({ catalog, manifests, blobs, origins }) : undefined,
  })
  const staging = new Staging({ learned, pulls, manifests, progress })
  const pinned = new Pinned({ pins, catalog, manifests, profiles })
  const collector = new Collector({
    store,
    catalog,
    pinned,
    returns: new Returns({ store, catalog, upstreams, offline }),
    clock,
    policy: { maxSize: config.cache.maxSize, leaseMs: config.cache.lease },
  })
  const healer = new Healer({ store, catalog, manifests, remaker, pulls })
  const verifier = new Verifier({
    store,
    sidecars,
    catalog,
    manifests,
    healer,
    limits,
    decodeLimits,
  })
  // One for all readings of the file: each has a thread.
  const bcrypt = createBcrypt()
  const readAccess = (from: Config) => readAccessRules(from, bcrypt)
  const access = new Access(await readAccess(config))
  return {
    config,
    access,
    readAccess,
    profiles,
    limits,
    telemetry,
    clock,
    store,
    sidecars,
    catalog,
    upstreams,
    tags,
    manifests,
    blobs,
    layers,
    regenerations,
    images,
    publisher,
    recordImages,
    pulls,
    staging,
    progress,
    pins,
    pinned,
    collector,
    verifier,
    async [Symbol.asyncDispose]() {
      wishes.end()
      await upstreams[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
}
