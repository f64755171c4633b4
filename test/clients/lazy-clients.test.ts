/** Lazy images with the clients that they are for: run while they are still upstream, or pulled in parts; plain clients take them whole. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { forget, pull, startClient } from '../helpers/clients.ts'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { describeWith, REGISTRY, ROOTFS, TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { realClients, restartDaemon } from '../helpers/fixtures-daemons.ts'
import { readImage, readManifest } from '../helpers/fixtures-registry.ts'
import { expectSameImage, expectSoundImage } from '../helpers/oracles.ts'

const IMAGE = 'node-app:1'

let crossdock: Crossdock

async function call(...args: string[]): Promise<string> {
  const { script, args: all, env } = realClients(args)
  return (await mustRun(script, all, { env })).stdout
}

/** Bytes of blobs that went out since `from`, an index into the access log. */
function blobBytes(from: number): number {
  return crossdock
    .requests()
    .slice(from)
    .filter(({ route }) => route === 'blob')
    .reduce((sum, { bytes }) => sum + bytes, 0)
}

async function layerBytes(image: string): Promise<number> {
  const { document } = await readImage(`${crossdock.host}/${image}`)
  return (document.layers ?? []).reduce((sum, { size }) => sum + size, 0)
}

describeWith(['registry', 'clients', 'oracles'], 'lazy clients', () => {
  beforeAll(async () => {
    crossdock = await startCrossdock()
    // Its snapshotter is started along with it, which a containerd of before may lack.
    await restartDaemon('ctr21')
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
      expect(blobBytes(from)).toBeLessThan((await layerBytes(`${IMAGE}-${form}`)) * 0.9)
    })
  }

  test('podman pulls a second zstd:chunked image in parts, fewer bytes than its layers have', async () => {
    await forgetPartial()
    const [first, second] = ['shared-b:1-zstdchunked', `${IMAGE}-zstdchunked`]
    await readManifest(`${crossdock.host}/${first}`)
    await call('pull', 'podman-part', `${crossdock.host}/${first}`)
    const from = crossdock.requests().length

    await call('pull', 'podman-part', `${crossdock.host}/${second}`)

    expect(blobBytes(from)).toBeLessThan(await layerBytes(second))
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
      await expectSameImage(source, `${lazy}-zstdchunked-stargz`, { platform })
      await expectSameImage(source, `${lazy}-estargz`, {
        platform,
        sameConfig: false,
        sameDiffIds: false,
      })
    }
  })
})

async function forgetPartial(): Promise<void> {
  for (const folder of ['ppart', 'ppartr']) {
    await rm(join(ROOTFS, 'rc', folder), { recursive: true, force: true })
  }
}
