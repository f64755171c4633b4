/** What must not grow: memory with the size of a layer, time with the size of the catalog. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { systemClock } from '../../src/clock.ts'
import { digestOf as brandedDigest } from '../../src/oci/digest.ts'
import { openStore } from '../../src/store/open.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { digestOf, readManifest } from '../helpers/fixtures-registry.ts'
import { comparePair, percentile } from './measure.ts'
import { measureLatencies } from './requests.ts'
import type { Section } from './row.ts'
import { openFolder } from './source.ts'

const MAX_RSS = 512 * 1024 * 1024
const MAX_SLOWDOWN = 1.5
const REQUESTS = 1500

export const largeLayer: Section = {
  name: 'memory',
  isLong: true,
  async measure() {
    await using upstream = await startLargeUpstream(10 * 2 ** 30)
    await using crossdock = await startCrossdock({ upstream: upstream.host })
    const began = performance.now()
    const answer = await readManifest(`${crossdock.host}/large:1-zstd`)
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.bytes}`)
    const rss = await crossdock.peakRss()
    const seconds = Math.round((performance.now() - began) / 1000)
    return [
      {
        what: 'resident memory while a layer of 10 GiB is converted to zstd',
        ours: `${Math.round(rss / 2 ** 20)} MiB, ${seconds} s`,
        bound: 'below 512 MiB',
        met: rss < MAX_RSS,
      },
    ]
  },
}

export const largeCatalog: Section = {
  name: 'catalog',
  isLong: true,
  async measure(runs) {
    await using small = await startFilled(1000)
    await using large = await startFilled(1_000_000)
    // Warm, and through with the look that a large catalog gets after the start.
    for (let i = 0; i < 3; i += 1) await warmManifestP99(large.crossdock)
    await warmManifestP99(small.crossdock)
    const { ours, theirs } = await comparePair(
      3 * runs,
      () => warmManifestP99(large.crossdock),
      () => warmManifestP99(small.crossdock),
    )
    return [
      {
        what: 'catalog of 1,000,000 blobs, p99 of a warm manifest, median of rounds',
        against: 'catalog of 1,000 blobs',
        ours: `${(ours * 1000).toFixed(2)} ms`,
        theirs: `${(theirs * 1000).toFixed(2)} ms`,
        ratio: theirs / ours,
        least: 1 / MAX_SLOWDOWN,
      },
    ]
  },
}

/** With an image that was pulled, and so many blobs that were not. */
async function startFilled(blobs: number) {
  const folder = await openFolder()
  await fillCatalog(folder.path, blobs)
  const crossdock = await startCrossdock({ data: folder.path })
  const answer = await readManifest(`${crossdock.host}/debian:12-zstd`)
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.bytes}`)
  return {
    crossdock,
    async [Symbol.asyncDispose]() {
      await crossdock[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

async function warmManifestP99(crossdock: Crossdock): Promise<number> {
  const port = Number(new URL(crossdock.url).port)
  const target = { port, path: '/v2/debian/manifests/12-zstd' }
  return percentile(await measureLatencies(target, REQUESTS), 0.99)
}

/** Links of a thousand repositories, as manifests leave them: those that pulls add have a file each, which nobody reads here. */
async function fillCatalog(data: string, blobs: number): Promise<void> {
  await using store = await openStore({ data, clock: systemClock })
  const repositories = Math.min(1000, blobs / 10)
  const each = blobs / repositories
  for (let i = 0; i < repositories; i++) {
    const links = Array.from({ length: each }, (_, j) => ({
      digest: brandedDigest(Buffer.from(`${i}/${j}`)),
      size: 1_000_000 + j,
      standing: 'named' as const,
    }))
    await store.catalog.links.record({ upstream: 'origin', name: `repository-${i}` }, links)
  }
}

interface LargeUpstream extends AsyncDisposable {
  readonly host: string
}

const MEMBER_SIZE = 64 * 2 ** 20

/** A registry with one image of one gzip layer that repeats one member, so that nothing large is kept. */
async function startLargeUpstream(size: number): Promise<LargeUpstream> {
  const members = Math.ceil(size / MEMBER_SIZE)
  const tar = fileOf(members * MEMBER_SIZE)
  const [first, rest] = [gzipSync(tar.first, { level: 1 }), gzipSync(tar.rest, { level: 1 })]
  const parts = [first, ...Array<Buffer>(members - 1).fill(rest), gzipSync(Buffer.alloc(1024))]
  const tars = [tar.first, ...Array<Buffer>(members - 1).fill(tar.rest), Buffer.alloc(1024)]
  const layer = { digest: hashAll(parts), size: parts.reduce((sum, one) => sum + one.length, 0) }
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [hashAll(tars)] },
    }),
  )
  const type = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: {
        mediaType: 'application/vnd.oci.image.config.v1+json',
        digest: digestOf(config),
        size: config.length,
      },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...layer }],
    }),
  )
  const server = createServer((incoming, outgoing) => {
    const url = incoming.url ?? ''
    if (url.endsWith('/manifests/1') || url.endsWith(digestOf(manifest))) {
      void answer(outgoing, type, manifest.length, incoming.method === 'HEAD' ? [] : [manifest])
    } else if (url.endsWith(digestOf(config))) {
      void answer(outgoing, 'application/octet-stream', config.length, [config])
    } else if (url.endsWith(layer.digest)) {
      void answer(outgoing, 'application/octet-stream', layer.size, parts)
    } else {
      outgoing.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function answer(
  outgoing: ServerResponse,
  type: string,
  length: number,
  parts: readonly Buffer[],
): Promise<void> {
  outgoing.writeHead(200, { 'content-type': type, 'content-length': length })
  for (const part of parts) if (!outgoing.write(part)) await once(outgoing, 'drain')
  outgoing.end()
}

/** The first 64 MiB of a tar with one file, and every 64 MiB after them; the end is two empty blocks. */
function fileOf(tarSize: number): { readonly first: Buffer; readonly rest: Buffer } {
  const header = Buffer.alloc(512)
  const size = tarSize - header.length
  header.write('large')
  header.write('0000644\x000000000\x000000000\0', 100)
  // A size of 8 GiB and more is written as a number of base 256.
  header[124] = 0x80
  header.writeBigUInt64BE(BigInt(size), 128)
  header.write('00000000000\0        0', 136)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((a, b) => a + b, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const rest = Buffer.alloc(MEMBER_SIZE)
  for (let i = 0, word = ''; i < rest.length; i += word.length) {
    word = createHash('sha256')
      .update(String(i % 1_000_003))
      .digest('base64')
    rest.write(word, i)
  }
  return { first: Buffer.concat([header, rest.subarray(header.length)]), rest }
}

function hashAll(parts: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return `sha256:${hash.digest('hex')}`
}
