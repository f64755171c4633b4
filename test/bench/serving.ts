/** What is warm, against distribution 3 serving the same bytes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { findFreePort } from '../helpers/fixtures-hostile.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { median, timed } from './measure.ts'
import { measureRate } from './requests.ts'
import type { AnyRow, Section } from './row.ts'
import { IMAGE, openFolder } from './source.ts'

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
    await mustRun('skopeo', [
      'copy',
      '-q',
      '--preserve-digests',
      '--src-tls-verify=false',
      '--dest-tls-verify=false',
      `docker://${crossdock.host}/${IMAGE}-zstd`,
      `docker://127.0.0.1:${peer.port}/${IMAGE}-zstd`,
    ])
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

interface Peer extends AsyncDisposable {
  readonly port: number
}

/** distribution as its own documentation runs it, without an access log. */
async function startDistribution(): Promise<Peer> {
  const folder = await openFolder()
  const port = await findFreePort()
  const file = join(folder.path, 'config.yml')
  const config = {
    version: '0.1',
    log: { level: 'error', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder.path, 'data') } },
    http: { addr: `127.0.0.1:${port}` },
  }
  await writeFile(file, JSON.stringify(config))
  const child = spawn(join(TOOLS, 'registry'), ['serve', file], { stdio: 'ignore' })
  for (let i = 0; i < 100; i++) {
    const isUp = await fetch(`http://127.0.0.1:${port}/v2/`).then(
      (response) => response.ok,
      () => false,
    )
    if (isUp) break
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return {
    port,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      await folder[Symbol.asyncDispose]()
    },
  }
}
