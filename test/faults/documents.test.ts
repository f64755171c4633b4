/** Documents of some MiB, which anybody can write and hand out by the thousand: what the process remembers of them is bounded. */
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import { type FakeManifest, fakeImage, json } from '../helpers/fake-image.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest } from '../helpers/faults-puller.ts'
import { OCI_INDEX } from '../helpers/manifest-documents.ts'

const MIB = 1024 ** 2
const PAD = 'x'.repeat(3.9 * MIB)

const INDEXES = 50

/** Far beyond what caches hold of documents, and far below what 50 of them cost that are not forgotten (700 MiB). */
const MUCH = 480 * MIB

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

function padded(document: object, mediaType: string, text: string): FakeManifest {
  const bytes = json({ ...document, annotations: { pad: PAD, text } })
  return { mediaType, bytes, digest: digestOf(bytes) }
}

function described({ mediaType, digest, bytes }: FakeManifest, architecture: string) {
  return { mediaType, digest, size: bytes.byteLength, platform: { os: 'linux', architecture } }
}

test(
  'indexes of 4 MiB, handed out and converted, are not remembered in memory',
  async () => {
    await using proxy = await TestProxy.start()
    const image = await fakeImage()
    proxy.registry.push('large/indexes', undefined, image)
    const before = await residentBytes(proxy.crossdock.pid)

    for (let i = 0; i < INDEXES; i += 1) {
      const other = { ...image, digest: digestOf(Buffer.from(`other ${i}`)) }
      const manifests = [described(image, 'amd64'), described(other, 's390x')]
      const index = padded({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, OCI_INDEX, `${i}`)
      proxy.registry.push('large/indexes', `${i}`, index)
      const { conversion } = await getManifest(proxy.base, 'large/indexes', `${i}-zstd`)
      expect(conversion).toMatch(/^converted/)
    }

    const more = (await residentBytes(proxy.crossdock.pid)) - before
    console.info(`${INDEXES} indexes cost ${Math.round(more / MIB)} MiB`)
    expect(more).toBeLessThan(MUCH)
  },
  START_MS * 4,
)

test(
  'an index that leads to more bytes of manifests than are held is refused before they have come',
  async () => {
    await using proxy = await TestProxy.start()
    const { registry } = proxy
    const image = await fakeImage()
    registry.push('large/children', undefined, image)
    const children = Array.from({ length: 40 }, (_, i) => {
      const child = padded(JSON.parse(Buffer.from(image.bytes).toString()), image.mediaType, `${i}`)
      registry.push('large/children', undefined, child)
      return described(child, `a${i}`)
    })
    const bytes = json({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: children })
    const index = { mediaType: OCI_INDEX, bytes, digest: digestOf(bytes) }
    registry.push('large/children', '1', index)

    const demand = await ask(`${proxy.base}/large/children/manifests/1-gzip`)
    const plain = await ask(`${proxy.base}/large/children/manifests/1`)

    expect([demand.status, errorOf(demand).message]).toEqual([
      400,
      expect.stringMatching(/leads to manifests and configs of more than \d+ bytes/),
    ])
    expect(plain.bytes.equals(bytes)).toBe(true)
    const count = registry.count({ name: 'large/children', kind: 'manifest', method: 'GET' })
    expect(count).toBeLessThan(30)
  },
  START_MS,
)
