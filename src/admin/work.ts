/** What is under way at this moment: conversions and downloads, by name and tag, how far they are, and who waits for them. */
import type { Job, LayerProgress } from '../convert/progress.ts'
import type { Waiter } from '../lib/interest.ts'
import type { DownloadState } from '../pull/downloads.ts'
import type { Activity } from './activity.ts'

/** What is told of at most; a count says what is left out. */
export const JOBS = 40
export const ENDED = 12
const LAYERS = 48
export const DOWNLOADS = 60
const WAITERS = 8

export interface WorkDeps {
  readonly progress: { list(): readonly Job[] }
  readonly blobs: { listDownloads(): readonly DownloadState[]; readonly downloadsWaiting: number }
  readonly layers: { readonly queued: number }
  readonly activity: Pick<Activity, 'lastAsked'>
}

export function describeWork({ progress, blobs, layers, activity }: WorkDeps) {
  const jobs = progress.list()
  const running = jobs.filter(({ endedAt }) => endedAt === undefined)
  const ended = jobs.filter(({ endedAt }) => endedAt !== undefined)
  const downloads = blobs.listDownloads()
  return {
    running: running.length,
    jobs: running.slice(0, JOBS).map(describeJob),
    ended: ended.slice(-ENDED).reverse().map(describeEnded),
    downloading: downloads.length,
    downloads: downloads.slice(0, DOWNLOADS).map((one) => describeDownload(one, jobs, activity)),
    layersQueued: layers.queued,
    downloadsQueued: blobs.downloadsWaiting,
  }
}

function describeJob(job: Job) {
  const { layers } = job
  const urgent = layers.length <= LAYERS ? layers : [...layers].sort(byUrgency).slice(0, LAYERS)
  const shown = new Set(urgent)
  return {
    ...describeSubject(job),
    startedAt: job.startedAt,
    state: job.state,
    received: layers.reduce((sum, layer) => sum + receivedOf(layer), 0),
    size: layers.reduce((sum, { size }) => sum + size, 0),
    layersDone: layers.filter(isOver).length,
    layerCount: layers.length,
    layers: layers.filter((layer) => shown.has(layer)).map(describeLayer),
    waiting: describeWaiters(job.waiters?.() ?? []),
  }
}

function describeEnded(job: Job) {
  const { state, startedAt, endedAt = startedAt, reason = null } = job
  return { ...describeSubject(job), startedAt, state, endedAt, reason }
}

/** `docker.io/library/alpine@sha256:...` in its parts. */
function describeSubject({ id, image, tag, profile }: Job) {
  const at = image.indexOf('@')
  const [name, digest] = at < 0 ? [image, null] : [image.slice(0, at), image.slice(at + 1)]
  return { id, name, tag: tag ?? null, digest, profile }
}

function describeLayer({ digest, label, size, stage, received, written }: LayerProgress) {
  return { digest, size, stage, received, written, ...(label !== undefined && { label }) }
}

function describeDownload(
  { repository, digest, size, received, ms, waiters }: DownloadState,
  jobs: readonly Job[],
  activity: Pick<Activity, 'lastAsked'>,
) {
  const job = jobs.find(
    ({ endedAt, layers }) =>
      endedAt === undefined && layers.some((layer) => layer.digest === digest),
  )
  const name = `${repository.upstream}/${repository.name}`
  return {
    name,
    /** What is being converted of it, or what was asked for last of the repository. */
    image: job?.tag === undefined ? (activity.lastAsked(repository) ?? name) : `${name}:${job.tag}`,
    job: job?.id ?? null,
    digest: digest ?? null,
    size: size ?? null,
    received,
    seconds: Math.round(ms / 1000),
    waiting: describeWaiters(waiters),
  }
}

/** Clients by address, each with what it asked for; commands wait without an address. */
function describeWaiters(waiters: Iterable<Waiter>) {
  const all = [...waiters]
  const clients = all.slice(0, WAITERS).map(({ client, image }) => ({
    client: client ?? null,
    image: image ?? null,
  }))
  return { count: all.length, clients }
}

function byUrgency(a: LayerProgress, b: LayerProgress): number {
  return urgency(a) - urgency(b)
}

function urgency({ stage }: LayerProgress): number {
  if (stage === 'converting' || stage === 'storing') return 0
  return stage === 'waiting' ? 1 : 2
}

function isOver({ stage }: LayerProgress): boolean {
  return stage === 'done' || stage === 'reused' || stage === 'kept' || stage === 'failed'
}

function receivedOf(layer: LayerProgress): number {
  return isOver(layer) ? layer.size : Math.min(layer.received, layer.size)
}
