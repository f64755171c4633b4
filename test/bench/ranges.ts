/** What lazy clients ask for: parts of converted blobs, few at a time or very many, against distribution 3 with the same blobs. */
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { copyTo, type Peer, startDistribution } from './distribution.ts'
import { percentile } from './measure.ts'
import { measureLatencies } from './requests.ts'
import type { Row, Section } from './row.ts'
import { IMAGE } from './source.ts'

const NAME = IMAGE.replace(/:.*/, '')
const REQUESTS = 300
/** As many as containers/storage asks for in one request. */
const MANY = 1024
const MANY_REQUESTS = 20
const CHUNK = 64 * 1024
const PART = 4096

interface Blob {
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

export const ranges: Section = {
  name: 'ranges',
  async measure(runs) {
    // Neither side writes an access log.
    await using crossdock = await startCrossdock({ config: { log: { level: 'warn' } } })
    await using peer = await startDistribution()
    const rows: Row[] = []
    for (const form of ['estargz', 'zstdchunked']) {
      const { document } = await readImage(`${crossdock.host}/${IMAGE}-${form}`)
      await copyTo(peer, crossdock, `${IMAGE}-${form}`)
      const [blob] = (document.layers ?? []).toSorted((a, b) => b.size - a.size)
      if (blob === undefined) throw new Error('no layers')
      for (const [what, range, count] of await askedOf(crossdock, form, blob)) {
        const name = `${form}: ${what}, warm p99`
        rows.push(await compare(name, runs, { crossdock, peer, blob, range, count }))
      }
    }
    return rows
  },
}

type Asked = readonly [what: string, range: string, count: number]

async function askedOf(crossdock: Crossdock, form: string, blob: Blob): Promise<readonly Asked[]> {
  const chunks = Array.from({ length: MANY }, (_, i) => {
    // Never side by side: what touches may be answered as one.
    const start = Math.floor((i * (blob.size - CHUNK)) / MANY)
    return `${start}-${start + PART - 1}`
  })
  const middle = Math.floor(blob.size / 2)
  return [
    ['footer', `${blob.size - (form === 'estargz' ? 51 : 40)}-${blob.size - 1}`, REQUESTS],
    ['table of contents', await tocRange(crossdock, form, blob), REQUESTS],
    ['a chunk of 64 KiB', `${middle}-${middle + CHUNK - 1}`, REQUESTS],
    [`${MANY} ranges of 4 KiB in one request`, chunks.join(','), MANY_REQUESTS],
  ]
}

/** As clients find it: by the annotation, or by the offset in the footer. */
async function tocRange(crossdock: Crossdock, form: string, blob: Blob): Promise<string> {
  if (form === 'zstdchunked') {
    const position = blob.annotations?.['io.github.containers.zstd-chunked.manifest-position'] ?? ''
    const [offset = 0, size = 0] = position.split(':').map(Number)
    return `${offset}-${offset + size - 1}`
  }
  const response = await fetch(`${crossdock.url}/v2/${NAME}/blobs/${blob.digest}`, {
    headers: { range: `bytes=${blob.size - 51}-${blob.size - 1}` },
  })
  const footer = Buffer.from(await response.arrayBuffer())
  const offset = Number.parseInt(footer.toString('latin1', 16, 32), 16)
  return `${offset}-${blob.size - 52}`
}

async function compare(
  what: string,
  runs: number,
  asked: {
    readonly crossdock: Crossdock
    readonly peer: Peer
    readonly blob: Blob
    readonly range: string
    readonly count: number
  },
): Promise<Row> {
  const { crossdock, peer, blob, range, count } = asked
  const path = `/v2/${NAME}/blobs/${blob.digest}`
  const ours: number[] = []
  const theirs: number[] = []
  // The first round warms both.
  for (let i = 0; i <= runs; i += 1) {
    const port = Number(new URL(crossdock.url).port)
    const a = await measureLatencies({ port, path, range }, count)
    const b = await measureLatencies({ port: peer.port, path, range }, count)
    if (i > 0) ours.push(...a)
    if (i > 0) theirs.push(...b)
  }
  const [a, b] = [percentile(ours, 0.99), percentile(theirs, 0.99)]
  return {
    what,
    against: 'distribution 3',
    ours: `${(a * 1000).toFixed(2)} ms`,
    theirs: `${(b * 1000).toFixed(2)} ms`,
    ratio: b / a,
    least: 0.5,
    goal: 1,
  }
}
