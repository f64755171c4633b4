/** Whole conversions, from a registry into the store and on to a client, against the ways without crossdock. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { REGISTRY, ROOTFS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { comparePair, formatTime, median, timed } from './measure.ts'
import type { Row, Section } from './row.ts'
import { IMAGE, openFolder, shell, sourceLayers } from './source.ts'

/** Of an upstream on the far side of a good line, bytes/s. */
export const UPSTREAM_RATE = 50_000_000
const MAX_SLOWDOWN = 1.25
const PULLERS = 200

/** The one of this machine, and the current one from the root file system of the clients. */
const SKOPEOS = [
  ['1.9', '/'],
  ['1.22', ROOTFS],
] as const

export const coldConversion: Section = {
  name: 'cold',
  async measure(runs) {
    const ours = async () => {
      await using crossdock = await startCrossdock()
      return await timed(() => expectManifest(`${crossdock.host}/${IMAGE}-zstd`))
    }
    const what = `cold ${IMAGE}-zstd manifest from a registry, stored durably`
    const pipe = await comparePair(runs, ours, pipeline)
    const rows: Row[] = [
      {
        what,
        against: 'zcat | zstd -3 -T2, files',
        ours: formatTime(pipe.ours),
        theirs: formatTime(pipe.theirs),
        ratio: pipe.theirs / pipe.ours,
        least: 1,
      },
    ]
    for (const [version, root] of SKOPEOS) {
      const pair = await comparePair(runs, ours, () => skopeoCopy(root))
      rows.push({
        what,
        against: `skopeo ${version} copy --dest-compress-format zstd`,
        ours: formatTime(pair.ours),
        theirs: formatTime(pair.theirs),
        ratio: pair.theirs / pair.ours,
        least: 2,
      })
    }
    return rows
  },
}

export const coldPull: Section = {
  name: 'pull',
  async measure(runs) {
    await using upstream = await openGateway({ to: REGISTRY, bytesPerSecond: UPSTREAM_RATE })
    const rows: Row[] = []
    for (const [version, root] of SKOPEOS) {
      const pair = await comparePair(
        runs,
        async () => {
          await using crossdock = await startCrossdock({ upstream: upstream.host })
          return await skopeoPull(root, `${crossdock.host}/${IMAGE}-zstd`)
        },
        () => skopeoPull(root, `${upstream.host}/${IMAGE}`),
      )
      rows.push({
        what: `cold pull of ${IMAGE}-zstd by skopeo ${version}, upstream limited to 50 MB/s`,
        against: 'cold pull of the original from the same upstream',
        ours: formatTime(pair.ours),
        theirs: formatTime(pair.theirs),
        ratio: pair.theirs / pair.ours,
        least: 1 / MAX_SLOWDOWN,
      })
    }
    return rows
  },
}

/** Node's histogram of the event loop counts from timer to timer, which are so many seconds apart when nothing is late. */
const LOOP_TIMER = 0.01
const MAX_LOOP_DELAY = 0.02

export const eventLoop: Section = {
  name: 'loop',
  async measure(runs) {
    const delays: number[] = []
    for (let i = 0; i < runs; i++) {
      await using crossdock = await startCrossdock({ config: { convert: { jobs: 2 } } })
      // Asking starts the histogram anew.
      await crossdock.metric('nodejs_eventloop_lag_p99_seconds')
      await expectManifest(`${crossdock.host}/${IMAGE}-zstd`)
      delays.push(await crossdock.metric('nodejs_eventloop_lag_p99_seconds'))
    }
    const delay = median(delays) - LOOP_TIMER
    return [
      {
        what: 'event loop late by, p99, while two layers at a time are converted to zstd',
        ours: `${(delay * 1000).toFixed(1)} ms`,
        bound: `below ${MAX_LOOP_DELAY * 1000} ms`,
        met: delay < MAX_LOOP_DELAY,
      },
    ]
  },
}

export const singleFlight: Section = {
  name: 'single-flight',
  async measure() {
    const image = 'plain-src:1'
    await using gateway = await openGateway({ to: REGISTRY, bytesPerSecond: 2_000_000 })
    await using crossdock = await startCrossdock({ upstream: gateway.host })
    const pulls = Array.from({ length: PULLERS }, () =>
      pullImage(`${crossdock.host}/${image}-zstd`),
    )
    const failed = (await Promise.all(pulls)).filter((result) => result.outcome !== 'pulled').length
    const most = Math.max(...gateway.blobGets().values())
    const layers = (await readImage(`${REGISTRY}/${image}`)).document.layers?.length ?? 0
    const converted = await crossdock.metric('crossdock_layers_converted_total')
    return [
      {
        what: `${PULLERS} pullers of one cold image`,
        ours: `${most} GET per blob, ${converted} conversions of ${layers} layers, ${failed} failed`,
        bound: '1 GET per blob, 1 conversion per layer',
        met: failed === 0 && most === 1 && converted === layers,
      },
    ]
  },
}

async function expectManifest(image: string): Promise<void> {
  const answer = await readManifest(image)
  if (answer.status !== 200) throw new Error(`${image}: ${answer.status} ${answer.bytes}`)
}

async function pipeline(): Promise<number> {
  await using folder = await openFolder()
  const layers = await sourceLayers()
  return await timed(async () => {
    for (const [i, { file }] of layers.entries()) {
      await shell(`zcat < ${file} | zstd -q -3 -T2 > ${folder.path}/${i}`)
    }
  })
}

async function skopeoPull(root: string, image: string): Promise<number> {
  const out = join(root, 'tmp', 'crossdock-bench-dir')
  await rm(out, { recursive: true, force: true })
  const words = ['skopeo', 'copy', '-q', '--src-tls-verify=false', `docker://${image}`]
  const seconds = await timed(() =>
    mustRun('chroot', [root, ...words, 'dir:/tmp/crossdock-bench-dir']),
  )
  await rm(out, { recursive: true, force: true })
  return seconds
}

async function skopeoCopy(root: string): Promise<number> {
  const out = join(root, 'tmp', 'crossdock-bench-oci')
  await rm(out, { recursive: true, force: true })
  const words = ['-q', '--src-tls-verify=false', '--dest-compress-format', 'zstd']
  const target = ['skopeo', 'copy', ...words, `docker://${REGISTRY}/${IMAGE}`]
  const seconds = await timed(() =>
    mustRun('chroot', [root, ...target, 'oci:/tmp/crossdock-bench-oci:1']),
  )
  const index = JSON.parse(await readFile(join(out, 'index.json'), 'utf8'))
  const digest: string = index.manifests[0].digest
  const manifest = await readFile(join(out, 'blobs', digest.replace(':', '/')), 'utf8')
  if (!manifest.includes('tar+zstd')) throw new Error(`skopeo in ${root} did not convert`)
  await rm(out, { recursive: true, force: true })
  return seconds
}
