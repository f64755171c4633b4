/** Lazy images with the clients that they are for: run while they are still upstream, or pulled in parts; plain clients take them whole. */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forget, pull, startClient } from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import type { FakeFile } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { describeWith, REGISTRY, ROOTFS, TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { realClients, startSnapshotter } from '../helpers/fixtures-daemons.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { expectSameImage, expectSoundImage } from '../helpers/oracles.ts'

const IMAGE = 'node-app:1'

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

  test('the code of podman and CRI-O takes the layers partially', async () => {
    const image = `${crossdock.host}/${IMAGE}-zstdchunked`
    await mustRun(join(TOOLS, 'oracle-pull'), [image, '--insecure', '--expect-partial'])
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

  test('every lazy form of every layer unpacks to what its source unpacks to', async () => {
    for (const image of [IMAGE, 'tricky:1']) {
      const source = `${REGISTRY}/${image}`
      const lazy = `${crossdock.host}/${image}`
      const platform = 'linux/amd64'
      await expectSoundImage(`${lazy}-estargz`, '--platform', platform)
      await expectSameImage(source, `${lazy}-zstdchunked`, { platform })
      // The same bytes under another manifest; the oracles of both clients judge them in lazy-formats.test.ts.
      expect(await blobsOf(`${lazy}-zstdchunked-stargz`)).toEqual(
        await blobsOf(`${lazy}-zstdchunked`),
      )
      await expectSameImage(source, `${lazy}-estargz`, {
        platform,
        sameConfig: false,
        sameDiffIds: false,
      })
    }
  })
})

async function blobsOf(image: string): Promise<readonly (string | undefined)[]> {
  const { document } = await readImage(image)
  return [document.config, ...(document.layers ?? [])].map((blob) => blob?.digest)
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
