/**
 * The property: for every way in which a conversion can fail, a wish gives the original's very bytes, and a demand an error that
 * says how to pull it unconverted.
 */
import { createHash, randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { digestOf } from '../../src/oci/digest.ts'
import {
  type FakeImage,
  type FakeManifest,
  fakeImage,
  fakeLayer,
  json,
} from '../helpers/fake-image.ts'
import type { FakeRegistry } from '../helpers/fake-registry.ts'
import { type Answer, ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import { getManifest } from '../helpers/faults-puller.ts'
import {
  blob,
  imageDocument,
  OCI_GZIP,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../helpers/manifest-documents.ts'

const KIB = 1024

/** Of the listener whose profile is zstd. */
const ZSTD = 0

let proxy: TestProxy
let origin: FakeRegistry

beforeAll(async () => {
  proxy = await TestProxy.start({
    listeners: ['zstd'],
    config: {
      rules: [{ match: 'origin/ruled/**', profile: 'zstd' }],
      profiles: { 'of-nowhere': { format: 'estargz', record: '/nowhere.json' } },
      limits: {
        ...{ retries: 0, configSize: '2KiB', layers: 8, layerUncompressed: '200KiB' },
        ...{ imageUncompressed: '390KiB', breakerFailures: 1000 },
      },
    },
  })
  origin = proxy.registry
}, START_MS)

afterAll(() => proxy?.[Symbol.asyncDispose]())

type Lever = 'path' | 'header' | 'listener' | 'rule'
const LEVERS: readonly Lever[] = ['path', 'header', 'listener', 'rule']

/** Where what is wished for by a lever lies, and how to ask for it. */
function wish(lever: Lever, name: string, method = 'GET'): Promise<Answer> {
  const base = lever === 'listener' ? proxy.baseOf(ZSTD) : proxy.base
  const path = { path: 'as/zstd/', header: '', listener: '', rule: 'ruled/' }[lever]
  const headers = lever === 'header' ? { 'Crossdock-Profile': 'zstd' } : {}
  return ask(`${base}/${path}${name}/manifests/1`, { method, headers })
}

// ------------------------------------------------------------------------------------------------ what can be wrong

interface Case {
  readonly what: string
  /** The image, and whatever lies beside it. */
  readonly make: () => Promise<
    readonly [root: FakeManifest, ...others: (FakeManifest | FakeImage)[]]
  >
  readonly reason: string | RegExp
  /** What a demand is told; without it the original, since nothing is broken. */
  readonly demand?: {
    readonly status: number
    readonly says: RegExp
    /** True where nobody can pull it unconverted either. */
    readonly isLost?: true
  }
  /** Something that upstream does with a blob of it. */
  readonly fault?: { readonly status: number }
}

function manifestOf(document: object, mediaType = OCI_MANIFEST): FakeManifest {
  const bytes = json(document)
  return { mediaType, bytes, digest: digestOf(bytes) }
}

async function withConfig(config: Uint8Array): Promise<readonly [FakeImage]> {
  const image = await fakeImage()
  const document = JSON.parse(Buffer.from(image.bytes).toString())
  document.config = { ...document.config, digest: digestOf(config), size: config.byteLength }
  const raw = manifestOf(document)
  return [{ ...image, ...raw, config: { digest: digestOf(config), bytes: config } }]
}

async function withLayer(bytes: (tar: Uint8Array) => Uint8Array, diffId?: string) {
  const layer = await fakeLayer()
  const spoiled = bytes(layer.tar)
  const layers = [{ ...layer, bytes: spoiled, digest: digestOf(spoiled) }]
  const config = diffId === undefined ? {} : { rootfs: { type: 'layers', diff_ids: [diffId] } }
  return [await fakeImage({ layers, config })] as const
}

const zeros = (kib: number, value = 0) => ({ tar: new Uint8Array(kib * KIB).fill(value) })
const md5 = createHash('md5').update('x').digest('hex')

const CASES: readonly Case[] = [
  {
    what: 'an artifact',
    make: async () => [
      manifestOf(imageDocument({ artifactType: 'application/x-sbom', layers: [blob('sbom')] })),
    ],
    reason: 'artifact',
  },
  {
    what: 'an encrypted layer',
    make: async () => [
      manifestOf(imageDocument({ layers: [blob('enc', `${OCI_GZIP}+encrypted`)] })),
    ],
    reason: 'encrypted',
  },
  {
    what: 'no platform that is to be converted',
    make: async () => {
      const image = await fakeImage({ platform: 'linux/s390x' })
      return [indexOf([image]), image]
    },
    reason: 'no-matching-platform',
  },
  {
    what: 'a config that is no JSON',
    make: () => withConfig(Buffer.from('not JSON')),
    reason: 'json',
    demand: { status: 502, says: /config sha256:/ },
  },
  {
    what: 'a config beyond the limit',
    make: () => withConfig(json({ a: 'x'.repeat(3 * KIB) })),
    reason: /^(too-large|bad-size)$/,
    demand: { status: 502, says: /config sha256:.*3\d{3} bytes/ },
  },
  {
    what: 'more layers than diffIDs',
    make: async () => {
      const layers = [await fakeLayer(), await fakeLayer()] as const
      const rootfs = { type: 'layers', diff_ids: [layers[0].diffId] }
      return [await fakeImage({ layers, config: { rootfs } })]
    },
    reason: 'layer-count',
    demand: { status: 502, says: /2 layers .* 1 diffIDs/ },
  },
  {
    what: 'a wrong diffID',
    make: () => withLayer(gzipSync, digestOf(Buffer.from('another'))),
    reason: 'diff-id',
    demand: { status: 502, says: /unpacks to sha256:/ },
  },
  {
    what: 'a diffID of an algorithm that nobody knows',
    make: () => withLayer(gzipSync, `md5:${md5}`),
    reason: 'digest',
    demand: { status: 502, says: /sha256 or sha512/ },
  },
  {
    what: 'a layer named by an algorithm that nobody knows',
    make: async () => [
      manifestOf(imageDocument({ layers: [{ ...blob('x'), digest: `md5:${md5}` }] })),
    ],
    reason: 'digest',
    demand: { status: 502, says: /not sha256/ },
  },
  {
    what: 'layers beyond the limit',
    make: async () => {
      const layers = Array.from({ length: 9 }, (_, i) => blob(`layer ${i}`))
      return [manifestOf(imageDocument({ layers }))]
    },
    reason: 'too-many-layers',
    demand: { status: 502, says: /9 layers/ },
  },
  {
    what: 'a layer that is described twice in different ways',
    make: async () => [
      manifestOf(imageDocument({ layers: [blob('x'), blob('x', OCI_GZIP, { size: 1 })] })),
    ],
    reason: 'contradiction',
    demand: { status: 502, says: /in two different ways/ },
  },
  {
    what: 'a layer that no decoder reads',
    make: () => withLayer(() => randomBytes(1000)),
    reason: 'not-a-layer',
    demand: { status: 502, says: /layer sha256:/ },
  },
  {
    what: 'a layer that is cut off',
    make: () => withLayer((tar) => gzipSync(tar).subarray(0, 30_000)),
    reason: 'truncated',
    demand: { status: 502, says: /layer sha256:.*cannot be decompressed/ },
  },
  {
    what: 'a layer that upstream does not have',
    make: async () => {
      const { layers, config, ...raw } = await fakeImage()
      return [raw, { ...raw, layers: [], config } as unknown as FakeImage]
    },
    reason: /^blob-(unknown|missing)$/,
    demand: { status: 404, says: /blob sha256:/, isLost: true },
  },
  {
    what: 'a layer of other bytes than its digest names',
    make: async () => {
      const image = await fakeImage()
      const layers = image.layers.map((layer) => ({
        ...layer,
        bytes: randomBytes(layer.bytes.length),
      }))
      return [{ ...image, layers }]
    },
    reason: 'wrong-bytes',
    demand: { status: 502, says: /blob sha256:/, isLost: true },
  },
  {
    what: 'a layer that upstream keeps to itself',
    make: async () => [await fakeImage()],
    fault: { status: 403 },
    reason: 'denied',
    demand: { status: 403, says: /./ },
  },
  {
    what: 'a layer that upstream fails to send',
    make: async () => [await fakeImage()],
    fault: { status: 500 },
    reason: 'upstream-failed',
    demand: { status: 502, says: /./ },
  },
  {
    what: 'a layer that unpacks to too much',
    make: async () => [await fakeImage({ layers: [zeros(201)] })],
    reason: /^(layer-)?too-large$/,
    demand: { status: 502, says: /layer sha256:.*raise limits\.layerUncompressed/ },
  },
  {
    what: 'layers that unpack to too much together',
    make: async () => [await fakeImage({ layers: [zeros(190, 1), zeros(190, 2), zeros(190, 3)] })],
    reason: /too-large|bad-size|uncompressed/,
    demand: { status: 502, says: /image of origin\/broken/ },
  },
  {
    what: 'children that are not there',
    make: async () => [indexOf([await fakeImage()])],
    reason: /^(child-missing|manifest-unknown)$/,
    demand: { status: 404, says: /manifest sha256:.* not there/, isLost: true },
  },
  {
    what: 'a child that is larger than its index says',
    make: async () => {
      const image = await fakeImage()
      return [indexOf([image], { size: 7 }), image]
    },
    reason: /size/,
    demand: { status: 502, says: /its index says 7/ },
  },
  {
    what: 'a child of another type than its index says',
    make: async () => {
      const image = await fakeImage({ dialect: 'docker' })
      return [indexOf([image], { mediaType: OCI_MANIFEST }), image]
    },
    reason: 'media-type',
    demand: { status: 502, says: /its index says/ },
  },
]

function indexOf(images: readonly FakeImage[], more: object = {}): FakeManifest {
  const manifests = images.map(({ mediaType, digest, bytes, platform }) => {
    const [os, architecture] = platform.split('/')
    return { mediaType, digest, size: bytes.byteLength, platform: { os, architecture }, ...more }
  })
  return manifestOf({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }, OCI_INDEX)
}

describe.each(CASES)('$what', ({ what, make, reason, demand, fault }) => {
  const name = `broken/${what.replaceAll(/[^a-z]+/gi, '-').toLowerCase()}`
  let source: FakeManifest

  beforeAll(async () => {
    const [root, ...others] = await make()
    source = root
    for (const repository of [name, `ruled/${name}`]) {
      for (const one of others) origin.push(repository, undefined, one)
      origin.push(repository, '1', root)
      if (fault) origin.fault({ kind: 'blob', name: repository, method: 'GET' }, fault)
    }
  })

  test.each(LEVERS)('wished for by %s comes as the original, again and again', async (lever) => {
    for (const method of ['GET', 'GET', 'HEAD']) {
      const answer = await wish(lever, name, method)

      expect([answer.status, answer.bytes.toString()]).toEqual([
        200,
        method === 'HEAD' ? '' : Buffer.from(source.bytes).toString(),
      ])
      expect(answer.headers['docker-content-digest']).toBe(source.digest)
      expect(answer.headers['content-type']).toBe(source.mediaType)
      const [, said = ''] =
        /^original; reason=(.*)$/.exec(answer.headers['crossdock-conversion']?.toString() ?? '') ??
        []
      expect(said).toMatch(reason)
      expect(answer.headers.warning).toMatch(/^299 - ".*comes as the original, not as zstd: /)
    }
  })

  test('demanded says what there is to say', async () => {
    const answer = await ask(`${proxy.base}/${name}/manifests/1-zstd`)

    if (demand === undefined) {
      expect([answer.status, answer.bytes.toString()]).toEqual([
        200,
        Buffer.from(source.bytes).toString(),
      ])
      expect(answer.headers['crossdock-conversion']).toBe(`original; reason=${reason}`)
      return
    }
    const { message } = errorOf(answer)
    expect([answer.status, message]).toEqual([demand.status, expect.stringMatching(demand.says)])
    expect(message).not.toMatch(/\bpush|publisher/)
    const advice = demand.isLost ? 'cannot be pulled unconverted' : `pull origin/${name}:1 `
    if (fault === undefined) expect(message).toContain(advice)
    const plain = await ask(`${proxy.base}/${name}/manifests/1-original`)
    expect(plain.bytes.toString()).toBe(Buffer.from(source.bytes).toString())
  })

  test('is told of once in the log, however often it is pulled', () => {
    const lines = proxy.crossdock
      .output()
      .split('\n')
      .filter((line) => line.includes('"wish_unfulfilled"'))
      .map((line) => JSON.parse(line) as { name: string; reason: string; level: string })
    for (const repository of [name, `ruled/${name}`]) {
      const own = lines.filter((line) => line.name === repository)
      expect(own).toHaveLength(1)
      expect(own[0]?.reason).toMatch(reason)
    }
  })
})

test('what has the form already is what was wished for, without any warning', async () => {
  const image = await origin.pushImage('whole/zstd', '1', { compression: 'zstd' })
  const answer = await wish('path', 'whole/zstd')
  expect(answer.headers['crossdock-conversion']).toBe('original; reason=already-zstd')
  expect(answer.headers.warning).toBeUndefined()
  expect(digestOf(answer.bytes)).toBe(image.digest)
})

test('a priority list that cannot be had costs a wish its form, a demand its answer', async () => {
  const image = await origin.pushImage('whole/listed', '1')
  const headers = { 'Crossdock-Profile': 'of-nowhere' }
  const wished = await getManifest(proxy.base, 'whole/listed', '1', { headers })
  expect([wished.digest, wished.conversion]).toEqual([image.digest, 'original; reason=record'])
  const demanded = await ask(`${proxy.base}/whole/listed/manifests/1-of-nowhere`)
  expect(demanded.status).toBe(502)
  expect(errorOf(demanded).message).toMatch(/priority list .*; pull origin\/whole\/listed:1 /)
})

test('a tag that is not there, and an upstream that is away, stay errors for a wish', async () => {
  await origin.pushImage('whole/away', '1')
  expect((await ask(`${proxy.base}/as/zstd/whole/away/manifests/2`)).status).toBe(404)
  const end = origin.fault({ name: 'whole/away' }, { status: 503 })
  expect((await wish('path', 'whole/away')).status).toBe(502)
  end()
  expect((await wish('path', 'whole/away')).headers['crossdock-conversion']).toMatch(/^converted/)
})

test('a failure that passes is tried again after five seconds at most', async () => {
  await origin.pushImage('whole/later', '1')
  const end = origin.fault({ kind: 'blob', name: 'whole/later' }, { status: 500 })
  expect((await wish('path', 'whole/later')).headers['crossdock-conversion']).toMatch(/^original/)
  end()
  const said = async () => (await wish('path', 'whole/later')).headers['crossdock-conversion']
  await expect.poll(said, { timeout: 6_000 }).toMatch(/^converted|^hit/)
})

test('wishes are counted by reasons that are known', async () => {
  const count = (reason: string) =>
    proxy.crossdock.metric('crossdock_unfulfilled_wishes_total', { reason })
  const before = await count('artifact')
  expect(before).toBeGreaterThan(0)
  await wish('path', 'broken/an-artifact')
  expect(await count('artifact')).toBe(before + 1)
  expect(await count('other')).toBe(0)
})
