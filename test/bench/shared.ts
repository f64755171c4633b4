/** What it costs that the store lies on PostgreSQL and S3, beside the embedded one: cold pulls of an upstream on a line. */
import { startCrossdock } from '../helpers/crossdock-process.ts'
import { REGISTRY } from '../helpers/fixtures.ts'
import { openGateway } from '../helpers/fixtures-gateway.ts'
import { pullImage } from '../helpers/fixtures-puller.ts'
import { S3_CREDENTIALS } from '../helpers/s3-server.ts'
import { formatTime, median, timed } from './measure.ts'
import { processorSeconds } from './processor.ts'
import type { AnyRow, Section } from './row.ts'
import { type SharedPair, startSharedPair } from './shared-pair.ts'
import { warmRows } from './shared-warm.ts'
import { IMAGE } from './source.ts'

/** Of upstreams on a good and a usual line, bytes/s, with what is pulled of them. */
const LINES = [
  [50_000_000, [IMAGE, `${IMAGE}-zstd`]],
  [12_500_000, [IMAGE]],
] as const
const MAX_SLOWDOWN = 1.3

/** Pulled before, by both: a server that has just started is still being compiled. */
const BEFORE = 'plain-src:1'

/** For one pull on a machine that has much else to do. */
const PATIENCE_MS = 600_000

export const shared: Section = {
  name: 'shared',
  async measure(runs) {
    await using pair = await startSharedPair()
    return [...(await coldRows(runs, pair)), ...(await warmRows(runs, pair))]
  },
}

async function coldRows(runs: number, pair: SharedPair): Promise<readonly AnyRow[]> {
  const rows: AnyRow[] = []
  for (const [rate, images] of LINES) {
    await using upstream = await openGateway({ to: REGISTRY, bytesPerSecond: rate })
    for (const image of images) {
      const ours: Cost[] = []
      const theirs: Cost[] = []
      for (let i = 0; i < runs; i += 1) {
        const store = await pair.store()
        ours.push(await coldPull(pair, { upstream: upstream.host, config: { store }, image }))
        theirs.push(await coldPull(pair, { upstream: upstream.host, config: {}, image }))
      }
      rows.push(...rowsOf(`cold pull of ${image}, upstream at ${rate / 1e6} MB/s`, ours, theirs))
    }
  }
  return rows
}

/** Seconds: by the clock, and of processors for crossdock, S3 and PostgreSQL. */
interface Cost {
  readonly clock: number
  readonly own: number
  readonly s3: number
  readonly postgres: number
}

interface ColdPull {
  readonly upstream: string
  readonly config: object
  readonly image: string
}

async function coldPull(pair: SharedPair, { upstream, config, image }: ColdPull): Promise<Cost> {
  await using crossdock = await startCrossdock({
    ...{ upstream, config: { ...config } },
    env: S3_CREDENTIALS,
  })
  const pull = async (one: string) => {
    const answer = pullImage(`${crossdock.host}/${one}`, { timeoutMs: PATIENCE_MS })
    const { outcome, reason } = await answer
    if (outcome !== 'pulled') throw new Error(`${one}: ${reason}`)
  }
  await pull(BEFORE)
  const spent = async () => ({
    own: await processorSeconds(crossdock.pid),
    ...(await pair.spent()),
  })
  const before = await spent()
  const clock = await timed(() => pull(image))
  const after = await spent()
  return {
    clock,
    own: after.own - before.own,
    s3: after.s3 - before.s3,
    postgres: after.postgres - before.postgres,
  }
}

function rowsOf(what: string, ours: readonly Cost[], theirs: readonly Cost[]): readonly AnyRow[] {
  const of = (costs: readonly Cost[], part: keyof Cost) => median(costs.map((one) => one[part]))
  const [clock, others] = [of(ours, 'clock'), of(theirs, 'clock')]
  const beside = `${formatTime(of(ours, 's3'))} of S3, ${formatTime(of(ours, 'postgres'))} of PostgreSQL beside`
  return [
    {
      what: `${what}, onto PostgreSQL and S3`,
      against: 'onto the disk',
      ours: formatTime(clock),
      theirs: formatTime(others),
      ratio: others / clock,
      least: 1 / MAX_SLOWDOWN,
    },
    {
      what: `${what}: processor time`,
      ours: `${formatTime(of(ours, 'own'))} against ${formatTime(of(theirs, 'own'))}, ${beside}`,
      bound: 'for docs/scaling.md',
      met: true,
    },
  ]
}
