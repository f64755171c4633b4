/** Progress of conversions: bars that redraw on a terminal, plain lines elsewhere. */
import type { Job, LayerProgress, Progress } from '../convert/progress.ts'
import { hexOf } from '../oci/digest.ts'
import { formatBytes, formatSeconds, type Output } from './output.ts'

const REDRAW_MS = 150
const BAR = 24

/** Shows what happens until it is disposed of. */
export function showProgress(progress: Progress, output: Output): Disposable {
  return output.isTerminal ? showBars(progress, output) : showLines(progress, output)
}

function showLines(progress: Progress, output: Output): Disposable {
  const said = new Map<number, string>()
  const stop = progress.subscribe((job) => {
    const state = job.state
    if (said.get(job.id) === state || state === 'planning') return
    said.set(job.id, state)
    output.err(`${describeLine(job)}\n`)
  })
  return { [Symbol.dispose]: stop }
}

function describeLine(job: Job): string {
  const what = `${job.image} (${job.profile})`
  const size = formatBytes(job.layers.reduce((sum, layer) => sum + layer.size, 0))
  if (job.state === 'converting') return `${what}: ${job.layers.length} blobs, ${size}`
  const seconds = formatSeconds(((job.endedAt ?? job.startedAt) - job.startedAt) / 1000)
  if (job.state === 'failed') return `${what}: failed after ${seconds}: ${job.reason ?? ''}`
  return `${what}: ${job.state}${job.reason ? ` (${job.reason})` : ''} in ${seconds}`
}

function showBars(progress: Progress, output: Output): Disposable {
  let drawn = 0
  const rates = new Map<LayerProgress, { readonly since: number }>()
  const draw = () => {
    const lines = progress
      .list()
      .filter((job) => job.endedAt === undefined)
      .flatMap((job) => [
        `${job.image} (${job.profile}) ${job.state}`,
        ...job.layers.map((layer) => formatLayer(layer, rates)),
      ])
      .map((line) => line.slice(0, output.columns - 1))
    const up = drawn > 0 ? `\x1b[${drawn}A\x1b[J` : ''
    drawn = lines.length
    output.err(up + lines.map((line) => `${line}\n`).join(''))
  }
  const timer = setInterval(draw, REDRAW_MS)
  return {
    [Symbol.dispose]() {
      clearInterval(timer)
      draw()
    },
  }
}

/** `  3f8a1b2c4d5e [=======>    ] converting  12.3 MiB / 40.1 MiB  38.0 MiB/s  0.7 s left` */
function formatLayer(
  layer: LayerProgress,
  rates: Map<LayerProgress, { readonly since: number }>,
): string {
  const id = hexOf(layer.digest).slice(0, 12)
  const isOver = layer.stage === 'done' || layer.stage === 'reused' || layer.stage === 'kept'
  const part = isOver ? 1 : Math.min(1, layer.received / Math.max(1, layer.size))
  const full = Math.round(part * BAR)
  const bar = `${'='.repeat(Math.max(0, full - 1))}${full > 0 ? '>' : ''}`.padEnd(BAR)
  const head = `  ${id} [${bar}] ${layer.stage.padEnd(10)}`
  if (isOver || layer.received === 0) return `${head} ${formatBytes(layer.size)}`
  const now = performance.now()
  const started = rates.get(layer) ?? { since: now }
  rates.set(layer, started)
  const seconds = (now - started.since) / 1000
  const rate = seconds > 0 ? layer.received / seconds : 0
  const left = rate > 0 ? `  ${formatSeconds((layer.size - layer.received) / rate)} left` : ''
  return `${head} ${formatBytes(layer.received)} / ${formatBytes(layer.size)}  ${formatBytes(rate)}/s${left}`
}
