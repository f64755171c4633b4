/** What is warm on PostgreSQL and S3: beside the embedded pair, beside distribution 3 on the same S3, and by number of replicas. */
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { copyTo, startDistribution } from './distribution.ts'
import { median, timed } from './measure.ts'
import { processorSeconds } from './processor.ts'
import { measureRate } from './requests.ts'
import type { AnyRow } from './row.ts'
import type { SharedPair } from './shared-pair.ts'
import { IMAGE } from './source.ts'

const [NAME = '', TAG = ''] = IMAGE.split(':')
const RATE_MS = 3_000
const CONNECTIONS = 16
const REPLICAS = 3
const PULLERS = 4
/** Of the embedded pair's rate of manifests. */
const LEAST = 0.8
const PATIENCE_MS = 600_000

/** Servers that share one store, or one server. */
interface Side {
  readonly ports: readonly number[]
  readonly pids: readonly number[]
}

/** How many a second, and what processors have to do for each, seconds. */
interface Rate {
  readonly rate: number
  readonly cost: number
  /** The part of that which PostgreSQL and S3 do. */
  readonly beside: number
}

export async function warmRows(runs: number, pair: SharedPair): Promise<readonly AnyRow[]> {
  await using servers = new AsyncDisposableStack()
  const start = async (config: object) => servers.use(await started(config))
  const store = await pair.store()
  const replicas: Crossdock[] = []
  // The first pulls from upstream, the others from S3.
  for (let i = 0; i < REPLICAS; i += 1) replicas.push(await start({ store }))
  const disk = await start({})
  const peer = servers.use(await startDistribution(pair.storage()))
  const [first = disk] = replicas
  await copyTo(peer, first, IMAGE)
  const layers = (await readImage(`${first.host}/${IMAGE}`)).document.layers ?? []
  const [blob] = layers.toSorted((a, b) => b.size - a.size)
  if (blob === undefined) throw new Error('no layers')
  const sides = {
    one: sideOf([first]),
    two: sideOf(replicas.slice(0, 2)),
    three: sideOf(replicas),
    disk: sideOf([disk]),
    distribution: { ports: [peer.port], pids: [peer.pid] },
  }
  const below = [pair.postgres.pid, pair.s3.pid]
  const manifests = await byTurns(runs, sides, below, manifestsOf)
  const blobs = await byTurns(runs, sides, below, (side) => blobsOf(side, blob.digest))
  const [many, large] = [
    `warm manifest by tag, ${CONNECTIONS} connections`,
    `warm blob of ${Math.round(blob.size / 1e6)} MB, ${PULLERS} pullers`,
  ]
  const each = (rate: number) => `${rate.toFixed(0)}/s`
  const bytes = (rate: number) => `${((rate * blob.size) / 1e9).toFixed(2)} GB/s`
  return [
    ...versus(many, 'the embedded pair', manifests.one, manifests.disk, each, LEAST),
    ...versus(
      many,
      'distribution 3 on the same S3',
      manifests.one,
      manifests.distribution,
      each,
      1,
    ),
    ...versus(large, 'distribution 3 on the same S3', blobs.one, blobs.distribution, bytes, 0.95),
    ...(['two', 'three'] as const).flatMap((count) => [
      beside(`${many}, ${count} replicas`, manifests[count], manifests.one, each),
      beside(`${large}, ${count} replicas`, blobs[count], blobs.one, bytes),
    ]),
  ]
}

async function started(config: object): Promise<Crossdock> {
  const crossdock = await startCrossdock({
    config: { log: { level: 'warn' }, ...config },
    env: S3_CREDENTIALS,
  })
  const { outcome, reason } = await pullImage(`${crossdock.host}/${IMAGE}`, {
    timeoutMs: PATIENCE_MS,
  })
  if (outcome !== 'pulled') throw new Error(reason)
  return crossdock
}

function sideOf(servers: readonly Crossdock[]): Side {
  return {
    ports: servers.map(({ url }) => Number(new URL(url).port)),
    pids: servers.map(({ pid }) => pid),
  }
}

/** All sides once and again, so that a busy moment hits each; medians. The first round warms them. */
async function byTurns<Name extends string>(
  runs: number,
  sides: Readonly<Record<Name, Side>>,
  below: readonly number[],
  count: (side: Side) => Promise<number>,
): Promise<Readonly<Record<Name, Rate>>> {
  const names = Object.keys(sides) as Name[]
  const measured = new Map<Name, Rate[]>(names.map((name) => [name, []]))
  for (let i = 0; i <= runs; i += 1) {
    for (const name of names) {
      const one = await rateOf(sides[name], below, count)
      if (i > 0) measured.get(name)?.push(one)
    }
  }
  const middle = (name: Name, part: keyof Rate) =>
    median((measured.get(name) ?? []).map((one) => one[part]))
  const entries = names.map((name) => [
    name,
    { rate: middle(name, 'rate'), cost: middle(name, 'cost'), beside: middle(name, 'beside') },
  ])
  return Object.fromEntries(entries) as Record<Name, Rate>
}

/** `count` says how many answers there were. */
async function rateOf(
  side: Side,
  below: readonly number[],
  count: (side: Side) => Promise<number>,
): Promise<Rate> {
  const [own, beside] = [await spentBy(side.pids), await spentBy(below)]
  let answers = 0
  const seconds = await timed(async () => {
    answers = await count(side)
  })
  const others = (await spentBy(below)) - beside
  const cost = ((await spentBy(side.pids)) - own + others) / answers
  return { rate: answers / seconds, cost, beside: others / answers }
}

async function spentBy(pids: readonly number[]): Promise<number> {
  const spent = await Promise.all(pids.map(processorSeconds))
  return spent.reduce((sum, one) => sum + one, 0)
}

/** As many connections to all together. */
async function manifestsOf({ ports }: Side): Promise<number> {
  const path = `/v2/${NAME}/manifests/${TAG}`
  const connections = Math.floor(CONNECTIONS / ports.length)
  const rates = await Promise.all(
    ports.map((port) => measureRate({ port, path }, connections, RATE_MS)),
  )
  return (rates.reduce((sum, rate) => sum + rate, 0) * RATE_MS) / 1000
}

async function blobsOf({ ports }: Side, digest: string): Promise<number> {
  const each = 2
  await Promise.all(
    Array.from({ length: PULLERS }, async (_, i) => {
      const url = `http://127.0.0.1:${ports[i % ports.length]}/v2/${NAME}/blobs/${digest}`
      await mustRun('curl', ['-sf', ...Array(each).fill(['-o', '/dev/null', url]).flat()])
    }),
  )
  return PULLERS * each
}

/** By rate, and by processor time for each, of PostgreSQL and S3 as well ("below"). */
function versus(
  what: string,
  against: string,
  ours: Rate,
  theirs: Rate,
  text: (rate: number) => string,
  least: number,
): readonly AnyRow[] {
  const ratio = ours.rate / theirs.rate
  return [
    { what, against, ours: text(ours.rate), theirs: text(theirs.rate), ratio, least },
    {
      what: `${what}: processor time`,
      against,
      ours: costText(ours),
      theirs: costText(theirs),
      ratio: theirs.cost / ours.cost,
      least,
    },
  ]
}

function beside(what: string, ours: Rate, one: Rate, text: (rate: number) => string): AnyRow {
  const more = `${(ours.rate / one.rate).toFixed(2)}x of one`
  return {
    what,
    ours: `${text(ours.rate)} (${more}); each ${costText(ours)} (one: ${costText(one)})`,
    bound: 'for docs/scaling.md',
    met: true,
  }
}

function costText({ cost, beside }: Rate): string {
  const text = (seconds: number) =>
    seconds < 0.001 ? `${(seconds * 1e6).toFixed(0)} us` : `${(seconds * 1e3).toFixed(1)} ms`
  return beside * 50 < cost ? text(cost) : `${text(cost)}, ${text(beside)} of it below`
}
