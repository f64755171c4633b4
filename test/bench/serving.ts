/** What is warm, against distribution 3 serving the same bytes. */
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { copyTo, startDistribution } from './distribution.ts'
import { median, timed } from './measure.ts'
import { measureRate } from './requests.ts'
import type { AnyRow, Section } from './row.ts'
import { IMAGE } from './source.ts'

const NAME = IMAGE.replace(/:.*/, '')
const RATE_MS = 4000
const CONNECTIONS = 16

export const warm: Section = {
  name: 'warm',
  async measure(runs) {
    // Neither side writes an access log.
    await using crossdock = await startCrossdock({ config: { log: { level: 'warn' } } })
    const image = await readImage(`${crossdock.host}/${IMAGE}-zstd`)
    await using peer = await startDistribution()
    await copyTo(peer, crossdock, `${IMAGE}-zstd`)
    const [blob] = (image.document.layers ?? []).toSorted((a, b) => b.size - a.size)
    if (blob === undefined) throw new Error('no layers')
    const path = `/v2/${NAME}/blobs/${blob.digest}`
    const urls = [`${crossdock.url}${path}`, `http://127.0.0.1:${peer.port}${path}`] as const
    return [
      await compareBlob(runs, urls, blob.size, 1),
      await compareBlob(runs, urls, blob.size, 8),
      await compareManifest(runs, crossdock, peer.port),
    ]
  },
}

async function compareBlob(
  runs: number,
  urls: readonly [string, string],
  size: number,
  pullers: number,
): Promise<AnyRow> {
  const times = Math.max(1, Math.round(8 / pullers))
  const fetchAll = (url: string) =>
    timed(() =>
      Promise.all(
        Array.from({ length: pullers }, () =>
          mustRun('curl', ['-sf', ...Array(times).fill(['-o', '/dev/null', url]).flat()]),
        ),
      ),
    )
  const ours: number[] = []
  const theirs: number[] = []
  // The first round warms both; blobs pass in milliseconds, so rounds are cheap.
  for (let i = 0; i <= runs * 3; i++) {
    const [a, b] = [await fetchAll(urls[0]), await fetchAll(urls[1])]
    if (i > 0) ours.push(a)
    if (i > 0) theirs.push(b)
  }
  const rate = (seconds: readonly number[]) =>
    `${((size * pullers * times) / median(seconds) / 1e9).toFixed(2)} GB/s`
  return {
    what: `warm blob of ${Math.round(size / 1e6)} MB, ${pullers === 1 ? 'one puller' : `${pullers} pullers`}`,
    against: 'distribution 3',
    ours: rate(ours),
    theirs: rate(theirs),
    ratio: median(theirs) / median(ours),
    least: 0.95,
    goal: 1.2,
  }
}

async function compareManifest(runs: number, crossdock: Crossdock, port: number): Promise<AnyRow> {
  const path = `/v2/${NAME}/manifests/1-zstd`
  const ours: number[] = []
  const theirs: number[] = []
  for (let i = 0; i < runs; i++) {
    const target = { port: Number(new URL(crossdock.url).port), path }
    ours.push(await measureRate(target, CONNECTIONS, RATE_MS))
    theirs.push(await measureRate({ port, path }, CONNECTIONS, RATE_MS))
  }
  return {
    what: `warm manifest by tag, requests/s, ${CONNECTIONS} connections`,
    against: 'distribution 3',
    ours: String(Math.round(median(ours))),
    theirs: String(Math.round(median(theirs))),
    ratio: median(ours) / median(theirs),
    least: 1,
    goal: 2,
  }
}
