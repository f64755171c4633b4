/** Progress of conversions: bars that redraw on a terminal, plain lines elsewhere. */
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import { oneLine } from '../lib/printable.ts'
import { hexOf } from '../oci/digest.ts'
import { formatBytes, formatSeconds, type Output } from './output.ts'

const REDRAW_MS = 150
const BAR = 24
const SHORT_DIGEST = 12
/** Rates come from the last seconds, so that a stall shows. */
const RATE_WINDOW_MS = 3_000
/** Of what goes in bursts: several blocks of xz at its slowest. */
const BURST_WINDOW_MS = 60_000
/** How often a log that nobody redraws is told how far things are. */
const LINE_MS = 10_000
const LABEL = 40

type Watched = Pick<Progress, 'list' | 'subscribe'>

/** Shows what happens until it is disposed of. */
export function showProgress(progress: Watched, output: Output): Disposable {
  return output.isTerminal ? showBars(progress, output) : showLines(progress, output)
}

function showLines(progress: Watched, output: Output): Disposable {
  const said = new Map<number, string>()
  const stop = progress.subscribe((job) => {
    const { state } = job
    if (said.get(job.id) === state || state === 'planning') return
    said.set(job.id, state)
    output.err(`${oneLine(describeLine(job))}\n`)
  })
  const rates = new Rates()
  const timer = setInterval(() => {
    const jobs = progress.list().filter(({ state }) => state === 'converting')
    for (const job of jobs) output.err(`${oneLine(formatJob(job, rates))}\n`)
  }, LINE_MS)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      stop()
    },
  }
}

function describeLine(job: Job): string {
  const what = `${nameOf(job)} (${job.profile})`
  const size = formatBytes(sum(job.layers, (layer) => layer.size))
  if (job.state === 'converting')
    return `${what}: ${countOf(job.blobs ?? job.layers.length)}, ${size}`
  const seconds = formatSeconds(((job.endedAt ?? job.startedAt) - job.startedAt) / 1000)
  if (job.state === 'failed') return `${what}: failed after ${seconds}: ${job.reason ?? ''}`
  return `${what}: ${job.state}${job.reason ? ` (${job.reason})` : ''} in ${seconds}`
}

function countOf(blobs: number): string {
  return blobs === 1 ? '1 blob' : `${blobs} blobs`
}

function showBars(progress: Watched, output: Output): Disposable {
  let drawn = 0
  const rates = new Rates()
  // The list forgets old ones; what is done counts to the end.
  const ended = new Map<number, Job>()
  const stop = progress.subscribe((job) => {
    if (job.endedAt !== undefined) ended.set(job.id, job)
  })
  const draw = () => {
    const jobs = progress.list().filter((job) => job.endedAt === undefined)
    const lines = drawJobs(jobs, rates, output.rows - 1, [...ended.values()])
    output.redraw(drawn, lines)
    drawn = lines.length
  }
  const timer = setInterval(draw, REDRAW_MS)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      stop()
      draw()
    },
  }
}

/**
 * One line for each job and layer, and one for all jobs where there are several; what does not fit into `rows` is left out,
 * finished layers first, then waiting ones. `ended`: jobs that are over.
 */
export function drawJobs(
  jobs: readonly Job[],
  rates: Rates,
  rows: number,
  ended: readonly Job[] = [],
): string[] {
  const total = jobs.length + ended.length > 1 ? [formatTotal(jobs, ended, rates)] : []
  const layers = jobs.flatMap((job) => [...job.layers])
  const room = Math.max(0, rows - jobs.length - total.length)
  const shown = new Set([...layers].sort((a, b) => urgency(a) - urgency(b)).slice(0, room))
  const lines = jobs.flatMap((job) => [
    formatJob(job, rates),
    ...job.layers.filter((layer) => shown.has(layer)).map((layer) => formatLayer(layer, rates)),
  ])
  return [...lines.slice(0, Math.max(0, rows - total.length)), ...total].slice(0, Math.max(0, rows))
}

/** `in all: 3 of 5 done, 120 MiB / 340 MiB  38.0 MiB/s  5.8 s left`: of what is known by now, which may become more. */
function formatTotal(jobs: readonly Job[], ended: readonly Job[], rates: Rates): string {
  const all = [...ended, ...jobs]
  const layers = all.flatMap((job) => [...job.layers])
  const received = sum(layers, receivedOf)
  const size = sum(layers, (layer) => layer.size)
  const rest = formatRate(rates.of(rates, received), size - received)
  const images = Map.groupBy(all, (job) => imageOf(job, all))
  const done = [...images.values()].filter((own) =>
    own.every(({ endedAt }) => endedAt !== undefined),
  )
  return `in all: ${done.length} of ${images.size} done, ${formatBytes(received)} / ${formatBytes(size)}${rest}`
}

/** What is fetched beside a conversion (the name has the suffix then) is of the same image. */
function imageOf(job: Job, all: readonly Job[]): Job {
  if (job.profile !== 'fetch') return job
  return all.find((one) => `${nameOf(one)}-${one.profile}` === job.image) ?? job
}

/** By the tag that somebody asked for, else by digest. */
function nameOf({ image, tag }: Job): string {
  if (tag !== undefined) return image.replace(/@sha256:.*$/, `:${tag}`)
  return image.replace(/@sha256:([0-9a-f]+)/, (_, hex: string) => `@${shorten(hex)}`)
}

function urgency({ stage }: LayerProgress): number {
  if (stage === 'converting' || stage === 'storing') return 0
  return stage === 'waiting' ? 1 : 2
}

/** `docker.io/library/node:22 (zstd): 3 of 11 layers, 12.3 MiB / 221 MiB` */
function formatJob(job: Job, rates: Rates): string {
  const image = nameOf(job)
  if (job.layers.length === 0) return `${image} (${job.profile}): ${job.state}`
  const done = job.layers.filter(isOver).length
  const received = sum(job.layers, receivedOf)
  const size = sum(job.layers, (layer) => layer.size)
  const rate = rates.of(job, received, job.isBursty ? BURST_WINDOW_MS : RATE_WINDOW_MS)
  const isLast = job.isBursty && received >= size
  const rest = isLast ? '  compressing the last of it' : formatRate(rate, size - received)
  const what = job.layers.some(({ label }) => label !== undefined) ? 'parts' : 'layers'
  return `${image} (${job.profile}): ${done} of ${job.layers.length} ${what}, ${formatBytes(received)} / ${formatBytes(size)}${rest}`
}

/** `  3f8a1b2c4d5e [=======>    ] converting  12.3 MiB / 40.1 MiB  38.0 MiB/s  0.7 s left` */
function formatLayer(layer: LayerProgress, rates: Rates): string {
  const part = isOver(layer) ? 1 : Math.min(1, layer.received / Math.max(1, layer.size))
  const full = Math.round(part * BAR)
  const bar = `${'='.repeat(Math.max(0, full - 1))}${full > 0 ? '>' : ''}`.padEnd(BAR)
  const name = layer.label?.slice(-LABEL).padEnd(LABEL) ?? shorten(hexOf(layer.digest))
  const head = `  ${name} [${bar}] ${layer.stage.padEnd(10)}`
  if (isOver(layer) || layer.received === 0) return `${head} ${formatBytes(layer.size)}`
  const rest = formatRate(rates.of(layer, layer.received), layer.size - layer.received)
  return `${head} ${formatBytes(layer.received)} / ${formatBytes(layer.size)}${rest}`
}

function formatRate(rate: number, left: number): string {
  if (rate <= 0 || left <= 0) return ''
  return `  ${formatBytes(rate)}/s  ${formatSeconds(left / rate)} left`
}

function isOver({ stage }: LayerProgress): boolean {
  return stage === 'done' || stage === 'reused' || stage === 'kept' || stage === 'failed'
}

function receivedOf(layer: LayerProgress): number {
  return isOver(layer) ? layer.size : Math.min(layer.received, layer.size)
}

function shorten(hex: string): string {
  return hex.slice(0, SHORT_DIGEST)
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}

/** Bytes per second of whatever grows. */
export class Rates {
  readonly #samples = new WeakMap<object, { at: number; value: number }[]>()
  readonly #now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** Notes a value and says how fast it grew over the last seconds. */
  of(what: object, value: number, windowMs = RATE_WINDOW_MS): number {
    const at = this.#now()
    const recent = (this.#samples.get(what) ?? []).filter((one) => one.at > at - windowMs)
    this.#samples.set(what, [...recent, { at, value }])
    const [first] = recent
    return first === undefined ? 0 : (value - first.value) / Math.max(0.001, (at - first.at) / 1000)
  }
}
