/** What it costs that two processes serve in place of one, on whatever machine this is: rates, and processor time of all that serve. */
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { REGISTRY } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { comparePair, formatTime, median, timed } from './measure.ts'
import { processorSeconds } from './processor.ts'
import { UPSTREAM_RATE } from './pulling.ts'
import { measureRate } from './requests.ts'
import type { Row, Section } from './row.ts'
import { IMAGE } from './source.ts'

const NAME = IMAGE.replace(/:.*/, '')
const RATE_MS = 3000
const CONNECTIONS = 16
const PULLERS = 8
/** Two may cost so much: what is measured scatters. */
const LEAST = 0.95
const PATIENCE_MS = 600_000

export const workers: Section = {
  name: 'workers',
  isLong: true,
  async measure(runs) {
    return [...(await warmRows(runs)), ...(await coldRows(runs))]
  },
}

const started = (workers: number, upstream?: string) =>
  startCrossdock({
    config: { workers, log: { level: 'warn' } },
    ...(upstream !== undefined && { upstream }),
  })

async function warmRows(runs: number): Promise<readonly Row[]> {
  await using two = await started(2)
  await using one = await started(1)
  const [blob] = (await readImage(`${two.host}/${IMAGE}-zstd`)).document.layers ?? []
  await readImage(`${one.host}/${IMAGE}-zstd`)
  const manifest = (crossdock: Crossdock) =>
    measureRate(
      { port: Number(new URL(crossdock.url).port), path: `/v2/${NAME}/manifests/1-zstd` },
      CONNECTIONS,
      RATE_MS,
    )
  const pullAll = async (crossdock: Crossdock) => {
    const url = `${crossdock.url}/v2/${NAME}/blobs/${blob?.digest}`
    const get = () => mustRun('curl', ['-sf', '-o', '/dev/null', url])
    return 1 / (await timed(() => Promise.all(Array.from({ length: PULLERS }, get))))
  }
  return [
    ...(await compare(runs, `warm manifest by tag, ${CONNECTIONS} connections`, manifest, [
      two,
      one,
    ])),
    ...(await compare(runs * 3, `warm blob, ${PULLERS} pullers at once`, pullAll, [two, one])),
  ]
}

/** By rate, and by what processors had to do for as much. */
async function compare(
  runs: number,
  what: string,
  rate: (crossdock: Crossdock) => Promise<number>,
  [two, one]: readonly [Crossdock, Crossdock],
): Promise<readonly Row[]> {
  const rates: [number[], number[]] = [[], []]
  const costs: [number[], number[]] = [[], []]
  // The first round warms both.
  for (let i = 0; i <= runs; i += 1) {
    for (const [side, crossdock] of [two, one].entries()) {
      const before = await processorSeconds(crossdock.pid)
      const began = performance.now()
      const measured = await rate(crossdock)
      const times = measured * ((performance.now() - began) / 1000)
      const cost = (await processorSeconds(crossdock.pid)) - before
      if (i === 0) continue
      rates[side]?.push(measured)
      costs[side]?.push(cost / times)
    }
  }
  const row = { against: 'one process', least: LEAST }
  const [a, b] = [median(rates[0]), median(rates[1])]
  const [x, y] = [median(costs[0]), median(costs[1])]
  const each = (seconds: number) => `${(seconds * 1e6).toFixed(0)} us`
  return [
    { ...row, what, ours: `${a.toFixed(1)}/s`, theirs: `${b.toFixed(1)}/s`, ratio: a / b },
    { ...row, what: `${what}: processor time`, ours: each(x), theirs: each(y), ratio: y / x },
  ]
}

async function coldRows(runs: number): Promise<readonly Row[]> {
  await using upstream = await openGateway({ to: REGISTRY, bytesPerSecond: UPSTREAM_RATE })
  const rows: Row[] = []
  for (const image of [IMAGE, `${IMAGE}-zstd`]) {
    const cold = async (workers: number) => {
      await using crossdock = await started(workers, upstream.host)
      return await timed(async () => {
        const { outcome, reason } = await pullImage(`${crossdock.host}/${image}`, {
          timeoutMs: PATIENCE_MS,
        })
        if (outcome !== 'pulled') throw new Error(`${image}: ${reason}`)
      })
    }
    const pair = await comparePair(
      runs,
      () => cold(2),
      () => cold(1),
    )
    rows.push({
      what: `cold pull of ${image}, upstream limited to ${UPSTREAM_RATE / 1e6} MB/s`,
      against: 'one process',
      ours: formatTime(pair.ours),
      theirs: formatTime(pair.theirs),
      ratio: pair.theirs / pair.ours,
      least: LEAST,
    })
  }
  return rows
}
