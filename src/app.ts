/** The composition root: configuration in, everything wired together out. The only file that knows every concrete class. */
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { Access, ADMIN_DOOR } from './access/access.ts'
import { createBcrypt, pacedAmong } from './access/bcrypt.ts'
import { readAccessRules, readAdminRules } from './access/rules.ts'
import { Activity } from './admin/activity.ts'
import { systemClock } from './clock.ts'
import type { PlaceOf } from './config/problem.ts'
import type { Profiles } from './config/profiles.ts'
import { RestoreThreads } from './codec/restore/threads.ts'
import type { Config } from './config/schema.ts'
import { Assembler, keptIn } from './convert/assembly.ts'
import { Attachments } from './convert/attachments.ts'
import { Children } from './convert/children.ts'
import { Contents } from './convert/contents.ts'
import { ImageWriter } from './convert/image-writer.ts'
import { HeldDocuments } from './convert/held-documents.ts'
import { Images } from './convert/images.ts'
import { LayerConversion } from './convert/layer-conversion.ts'
import type { LayerEvents } from './convert/layer-events.ts'
import { Layers } from './convert/layers.ts'
import { LearnedPlatforms } from './convert/learned-platforms.ts'
import { Origins } from './convert/origins.ts'
import { Progress } from './convert/progress.ts'
import { Publisher } from './convert/publisher.ts'
import { Pulls } from './convert/pulls.ts'
import { Restorations } from './convert/restorations.ts'
import { Slots } from './convert/slots.ts'
import { Regenerations } from './convert/regenerations.ts'
import { Remaker } from './convert/remaker.ts'
import { Setbacks } from './convert/setbacks.ts'
import { SingleLayers } from './convert/single-layers.ts'
import { Staging } from './convert/staging.ts'
import { Substitutes } from './convert/substitutes.ts'
import { Debts } from './convert/debts.ts'
import { Wishes } from './convert/wishes.ts'
import type { LineSink } from './lib/lines.ts'
import { overheard } from './lib/overheard.ts'
import { createTelemetry, type Telemetry } from './lib/telemetry.ts'
import { chooseRecord, locate } from './naming.ts'
import type { ModelLimits } from './oci/manifest.ts'
import { HttpPeers } from './peers/http-peers.ts'
import type { Catalog } from './ports/catalog.ts'
import type { Clock } from './ports/clock.ts'
import type { Pins } from './ports/pins.ts'
import type { SidecarStore } from './ports/sidecars.ts'
import { RecordImages, type Regenerate } from './priorities/record-images.ts'
import { PriorityLists } from './priorities/priority-lists.ts'
import { Blobs } from './pull/blobs.ts'
import { Manifests } from './pull/manifests.ts'
import { Tags } from './pull/tags.ts'
import { createSettings, type Settings, upstreamsOf } from './settings.ts'
import { LeasedFlights } from './store/leased-flights.ts'
import { openStore, type Store, type StoreDeps } from './store/open.ts'
import { MeteredBlobs } from './upkeep/metered-blobs.ts'
import { createUpkeep, type Upkeep } from './upkeep/upkeep.ts'
import { createUpstreams, type Registries } from './upstream/upstreams.ts'
import { ALONE, idsAfter, logFields, type Seat } from './workers/seat.ts'

export interface App
  extends Upkeep,
    Pick<Store, 'coordination' | 'check' | 'outages'>,
    AsyncDisposable {
  /** In force now. */
  readonly config: Config
  readonly settings: Settings
  readonly access: Access
  /** Of the dashboard and the admin API, where somebody is asked who they are. */
  readonly adminAccess: Access | undefined
  /** Goes by another configuration from now on, as a whole; or throws ConfigError and goes on as before. */
  reconfigure(
    config: Config,
    around: Pick<Surroundings, 'dockerConfig' | 'placeOf'>,
  ): Promise<{ readonly hasOtherUsers: boolean; readonly hasOtherAdmins: boolean }>
  readonly profiles: Profiles
  /** Of what is read as a manifest, config or layer. */
  readonly limits: ModelLimits
  readonly telemetry: Telemetry
  readonly activity: Activity
  readonly clock: Clock
  readonly store: MeteredBlobs
  readonly sidecars: SidecarStore
  readonly catalog: Catalog
  readonly upstreams: Registries
  readonly tags: Tags
  readonly manifests: Manifests
  readonly blobs: Blobs
  readonly layers: Layers
  /** With other processes that share the store; `undefined`: there are none. */
  readonly flights: LeasedFlights | undefined
  readonly regenerations: Regenerations
  readonly slots: Slots
  readonly restorations: Restorations
  readonly threads: RestoreThreads
  readonly pieces: SingleLayers
  readonly images: Images
  readonly attachments: Attachments
  readonly publisher: Publisher
  readonly recordImages: RecordImages
  readonly pulls: Pulls
  readonly staging: Staging
  readonly progress: Progress
  readonly pins: Pins
}

export interface Surroundings extends Pick<StoreDeps, 'waits'> {
  readonly env: NodeJS.ProcessEnv
  readonly log: LineSink
  /** Where the Docker client keeps credentials; `undefined`: they are not used. */
  readonly dockerConfig: string | undefined
  /** For messages about the configuration. */
  readonly placeOf: PlaceOf
  /** Default: it is alone. */
  readonly seat?: Seat
  /** What the processes of one server agree by is damaged or gone: none of them can go on. */
  readonly onCoordinationDamaged?: () => void
  /** Somebody has seen that there is a store, so that nothing is tried there first. Default: no. */
  readonly isThere?: boolean
}

export async function openApp(config: Config, around: Surroundings): Promise<App> {
  const clock = systemClock
  const { seat = ALONE, isThere, waits, onCoordinationDamaged } = around
  const isConfigured = (name: string) => upstreams.names.includes(name)
  const events = createTelemetry(config.log, around.log, isConfigured, logFields(seat))
  const settings = createSettings(config, seat.of)
  const { profiles, model: limits, decoding: decodeLimits, conversion: capacity } = settings
  const { freshness, keeping: policy } = settings
  const { offline } = config.cache
  const {
    blobs: onDisk,
    sidecars,
    catalog,
    pins,
    coordination,
    ...opened
  } = await openStore({
    data: config.data,
    place: config.store,
    ...{ clock, isThere, waits, onCoordinationDamaged, events },
    sibling: seat.of > 1 ? seat : undefined,
    onCatalogReplaced: (loss) => events.catalogReplaced(loss),
  })
  const activity = new Activity(() => clock.now(), catalog)
  const telemetry = overheard(events, activity.listener)
  const store = new MeteredBlobs(onDisk)
  const upstreams = createUpstreams({
    ...(await upstreamsOf(config, around, seat.of)),
    clock,
    random: Math.random,
    env: around.env,
    events: {
      upstreamRequest: (request) => telemetry.upstreamRequest(request),
      upstreamError: (error) => telemetry.upstreamError(error),
      upstreamQuota: (quota) => telemetry.upstreamQuota(quota),
    },
  })
  const flights = coordination && new LeasedFlights({ leases: coordination.leases, clock })
  const slots = new Slots(capacity)
  const threads = new RestoreThreads(availableParallelism())
  const restorations = new Restorations({
    ...{ store, catalog, slots, clock, flights },
    rebuild: (...job) => threads.rebuild(...job),
  })
  const blobs = new Blobs({
    ...{ store, catalog, upstreams, offline, clock, flights, peers: new HttpPeers() },
    limits: settings.downloads,
    restorer: restorations,
    events: { fetched: (fetch) => telemetry.blobFetched(fetch) },
  })
  const manifests = new Manifests({ store, sidecars, catalog, upstreams, blobs, limits, offline })
  const tags = new Tags({
    catalog,
    sidecars,
    manifests,
    upstreams,
    clock,
    policy: freshness,
  })
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
    origins,
    limits: decodeLimits,
    concurrency: availableParallelism(),
    analyse: (...job) => threads.analyse(...job),
    events: layerEvents,
  })
  const layers = new Layers({
    ...{ store, catalog, blobs, origins, conversion, clock, slots, flights },
    events: layerEvents,
  })
  const pieces = new SingleLayers({ layers, origins, catalog, clock, limits: decodeLimits })
  const regenerations = new Regenerations({
    catalog,
    layers,
    clock,
    events: { irreproducible: (layer) => telemetry.irreproducible(layer) },
  })
  const progress = new Progress(() => clock.now(), idsAfter(seat))
  const publisher = new Publisher({ manifests, sidecars, catalog })
  const assembler = new Assembler({ keeping: keptIn(store, manifests), blobs, regenerations })
  const remaker = new Remaker({ catalog, manifests, store, assembler, publisher, clock })
  const setbacks = new Setbacks({ left: (child) => telemetry.childLeft(child) })
  const writer = new ImageWriter({
    setbacks,
    catalog,
    publisher,
    assembler,
    manifests,
    blobs,
    layers,
    progress,
    clock,
    limits: capacity,
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
    capacity,
    documents: new HeldDocuments(seat.of),
    events: { converted: (image) => telemetry.imageConverted(image) },
  })
  const regenerate: Regenerate = (repository, digest) => regenerations.open(repository, digest)
  const recordImages = new RecordImages({
    ...{ catalog, manifests, blobs, upstreams, offline, regenerate },
    settings: capacity,
  })
  const priorityLists = new PriorityLists({
    ...{ store, sidecars, catalog, tags, manifests, upstreams, clock, offline },
    images: recordImages,
    configured: (repository, profile) => chooseRecord(repository, settings.waiting.rules, profile),
    locate: (name) => locate(name, undefined, { upstreams, offline }),
    readFile: (path) => readFile(path),
    freshness,
  })
  const shared = coordination && { notices: coordination.notices, clock }
  const learned = new LearnedPlatforms({ catalog: catalog.platforms, clock, shared })
  const children = new Children({
    store,
    catalog,
    manifests,
    images,
    learned,
    settings: capacity,
    offline,
  })
  const attachments = new Attachments({ catalog, manifests, images, remaker })
  const debts = new Debts(shared)
  const wishes = new Wishes({ unfulfilled: (wish) => telemetry.wishUnfulfilled(wish) }, debts)
  const pulls = new Pulls({
    catalog,
    tags,
    manifests,
    blobs,
    images,
    regenerations,
    remaker,
    profiles,
    priorityLists,
    wishes,
    children,
    setbacks,
    substitutes: offline ? new Substitutes({ catalog, manifests, blobs, origins }) : undefined,
  })
  const staging = new Staging({ learned, pulls, blobs, manifests, progress, store })
  const upkeep = createUpkeep({
    ...{ store, sidecars, catalog, pins, upstreams, offline, manifests, pieces, restorations },
    ...{ remaker, pulls, profiles, limits, decodeLimits, clock, policy, coordination },
  })
  // One for all readings of the file: each has a thread.
  const bcrypt = pacedAmong(seat.of, createBcrypt())
  const access = new Access(await readAccessRules(config, bcrypt, around.placeOf))
  const adminRules = await readAdminRules(config, bcrypt, around.placeOf)
  const adminAccess = adminRules && new Access(adminRules, ADMIN_DOOR)
  return {
    config: settings.config,
    settings,
    access,
    adminAccess,
    async reconfigure(next, how) {
      // All that can fail comes first.
      const rules = await readAccessRules(next, bcrypt, how.placeOf)
      const admins = await readAdminRules(next, bcrypt, how.placeOf)
      upstreams.replace(await upstreamsOf(next, how, seat.of))
      settings.replace(next)
      const hasOtherAdmins = admins !== undefined && adminAccess?.replace(admins) === true
      return { hasOtherUsers: access.replace(rules), hasOtherAdmins }
    },
    profiles,
    limits,
    telemetry,
    activity,
    clock,
    store,
    sidecars,
    catalog,
    upstreams,
    tags,
    manifests,
    blobs,
    layers,
    flights,
    regenerations,
    slots,
    restorations,
    threads,
    pieces,
    images,
    attachments,
    publisher,
    recordImages,
    pulls,
    staging,
    progress,
    pins,
    coordination,
    outages: opened.outages,
    check: opened.check,
    ...upkeep,
    async [Symbol.asyncDispose]() {
      wishes.end()
      await debts[Symbol.asyncDispose]()
      await learned[Symbol.asyncDispose]()
      await upstreams[Symbol.asyncDispose]()
      await threads[Symbol.asyncDispose]()
      await flights?.[Symbol.asyncDispose]()
      await opened[Symbol.asyncDispose]()
    },
  }
}
