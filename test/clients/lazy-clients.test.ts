/** Lazy images with the clients that they are for: run while they are still upstream, or pulled in parts; plain clients take them whole. */
import { randomBytes } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forget, pull, startClient } from '../helpers/clients.ts'
import { Workplace } from '../helpers/command.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import type { FakeFile } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { describeWith, ROOTFS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { realClients, startSnapshotter } from '../helpers/fixtures-daemons.ts'
import { type Gateway, openGateway } from '../helpers/fixtures-gateway.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { blobPath } from '../helpers/fixtures-store.ts'
import { openEstargz } from '../helpers/lazy-blobs.ts'
import { recordText } from '../helpers/records.ts'

const IMAGE = 'node-app:1'
const LAYER_OF_NODE = 2

let crossdock: Crossdock

async function call(...args: string[]): Promise<string> {
  const { script, args: all, env } = realClients(args)
  return (await mustRun(script, all, { env })).stdout
}

/** Bytes of blobs that went out since `from`, an index into the access log. */
function blobBytes(server: Crossdock, from: number): number {
  return server
    .requests()
    .slice(from)
    .filter(({ route }) => route === 'blob')
    .reduce((sum, { bytes }) => sum + bytes, 0)
}

async function layerBytes(image: string): Promise<number> {
  const { document } = await readImage(image)
  return (document.layers ?? []).reduce((sum, { size }) => sum + size, 0)
}

describeWith(['registry', 'clients', 'oracles'], 'lazy clients', () => {
  beforeAll(async () => {
    crossdock = await startCrossdock()
    await startSnapshotter()
    // Converted before anybody pulls lazily: these clients give up within seconds.
    for (const form of ['estargz', 'zstdchunked', 'zstdchunked-stargz']) {
      const answer = await readManifest(`${crossdock.host}/${IMAGE}-${form}`)
      expect(answer.status, answer.bytes.toString()).toBe(200)
    }
  })
  afterAll(async () => {
    await forget('ctr21')
    await crossdock[Symbol.asyncDispose]()
  })

  for (const form of ['estargz', 'zstdchunked-stargz']) {
    test(`the stargz snapshotter runs ${IMAGE}-${form} before most of it has come`, async () => {
      const image = `${crossdock.host}/${IMAGE}-${form}`
      const from = crossdock.requests().length

      await call('pull', 'lazy', image)
      const said = await call('run', 'lazy', image, 'node', '--version')

      expect(said).toMatch(/^v\d+\./m)
      const ranges = crossdock
        .requests()
        .slice(from)
        .filter(({ route, status }) => route === 'blob' && status === 206)
      expect(ranges.length).toBeGreaterThan(0)
      expect(blobBytes(crossdock, from)).toBeLessThan((await layerBytes(image)) * 0.9)
    })
  }

  test('the stargz snapshotter fetches listed files of a layer before any other', async () => {
    const lib = 'usr/lib/x86_64-linux-gnu/libnode.so.108'
    await using place = await Workplace.create()
    const record = await place.write('list.json', recordText('usr/bin/node', lib))
    await using server = await startCrossdock({
      config: { profiles: { listed: { format: 'estargz', record } } },
    })
    await using gateway = await openGateway({ to: server.host })
    const answer = await readManifest(`${server.host}/${IMAGE}-listed`)
    expect(answer.status, answer.bytes.toString()).toBe(200)
    const layer = answer.document.layers?.[LAYER_OF_NODE]
    const { tocOffset, toc } = await openEstargz(
      await readFile(blobPath(server.data, layer?.digest ?? '')),
    )
    const isLandmark = ({ name }: { name: string }) => name === '.prefetch.landmark'
    const landmark = toc.entries.find(isLandmark)?.offset ?? 0
    expect(toc.entries.find(({ name }) => name.replace(/^\.?\//, '') === lib)).toBeDefined()
    expect(landmark).toBeGreaterThan(1_000_000)
    expect(landmark).toBeLessThan(tocOffset / 2)

    await call('pull', 'lazy', `${gateway.host}/${IMAGE}-listed`)
    const said = await call('run', 'lazy', `${gateway.host}/${IMAGE}-listed`, 'node', '--version')

    expect(said).toMatch(/^v\d+\./m)
    const [first, ...others] = rangesOf(gateway, layer?.digest ?? '').filter(
      ({ end }) => end > PROBE.end && end < tocOffset,
    )
    // In one request, and then whatever else node opens.
    expect(first?.start).toBe(0)
    expect(first?.end).toBeGreaterThanOrEqual(landmark - 1)
    expect(first?.end).toBeLessThan(landmark + 1_000_000)
    expect(others.length).toBeGreaterThan(0)
    expect(Math.min(...others.map(({ start }) => start))).toBeGreaterThan(landmark)
  })

  // Few files: with thousands to reuse, podman 5.8 races with itself and then starts over with the whole layer.
  test('podman pulls a second zstd:chunked image in parts: what it has is not fetched again', async () => {
    await forgetPartial()
    await using origin = await FakeRegistry.start()
    const [old, fresh] = [files('old', 60, 100_000), files('new', 10, 100_000)]
    await origin.pushImage('app', '1', { layers: [{ files: old }] })
    await origin.pushImage('app', '2', { layers: [{ files: [...fresh, ...old] }] })
    await using server = await startCrossdock({ upstream: origin.host })
    const image = (tag: number) => `${server.host}/app:${tag}-zstdchunked`
    await call('pull', 'podman-part', image(1))
    const from = server.requests().length

    await call('pull', 'podman-part', image(2))

    const sent = server.requests().slice(from)
    expect(sent.some(({ route, status }) => route === 'blob' && status === 206)).toBe(true)
    expect(blobBytes(server, from)).toBeLessThan((await layerBytes(image(2))) * 0.4)
    await forgetPartial()
  })

  for (const name of ['skopeo', 'skopeo22', 'ctr16', 'ctr24', 'dkctd', 'podman4'] as const) {
    test(`${name} pulls the lazy forms as ordinary images`, async () => {
      await startClient(name)
      for (const form of ['estargz', 'zstdchunked', 'zstdchunked-stargz']) {
        await pull(name, `${crossdock.host}/debian:12-${form}`)
        await forget(name)
      }
    })
  }
})

interface Range {
  readonly start: number
  readonly end: number
}

/** With which the snapshotter asks whether a blob is there. */
const PROBE: Range = { start: 0, end: 1 }

/** Parts of a blob in the order in which they were asked for. */
function rangesOf({ seen }: Gateway, digest: string): readonly Range[] {
  return seen
    .filter(({ method, url }) => method === 'GET' && url.endsWith(digest))
    .flatMap(({ headers }) => [...String(headers.range).matchAll(/(\d+)-(\d+)/g)])
    .map(([, start, end]) => ({ start: Number(start), end: Number(end) }))
}

/** A folder of random files, so that no two share a chunk. */
function files(folder: string, count: number, size: number): FakeFile[] {
  const made = Array.from({ length: count }, (_, i) => ({
    name: `${folder}/${i}`,
    body: randomBytes(size),
  }))
  return [{ name: `${folder}/`, type: 'directory', mode: 0o755 }, ...made]
}

async function forgetPartial(): Promise<void> {
  for (const folder of ['ppart', 'ppartr']) {
    await rm(join(ROOTFS, 'rc', folder), { recursive: true, force: true })
  }
}
