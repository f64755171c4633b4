/** The catalogue of bad input from upstream, row by row: what a puller is told, and that nothing of it stays. */
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { seededText } from '../helpers/bytes.ts'
import { type FakeLayer, fakeImage, fakeLayer, json } from '../helpers/fake-image.ts'
import { FakeRegistry } from '../helpers/fake-registry.ts'
import { ask, errorOf } from '../helpers/faults-http.ts'
import { START_MS, TestProxy } from '../helpers/faults-proxy.ts'
import {
  blob,
  DOCKER_MANIFEST,
  type Document,
  imageDocument,
  indexDocument,
  OCI_CONFIG,
  OCI_GZIP,
  OCI_INDEX,
  OCI_MANIFEST,
  OCI_TAR,
  OCI_ZSTD,
} from '../helpers/manifest-documents.ts'
import { localLayout, storedBlobs } from '../helpers/stored.ts'
import { base256, END, paxBody, record, tarOf } from '../helpers/tars.ts'

const MIB = 1024 ** 2
const MANIFEST = '502 MANIFEST_INVALID'
const SIZE = '502 SIZE_INVALID'
const DIGEST = '502 DIGEST_INVALID'
const REFUSED = '400 UNSUPPORTED'

let proxy: TestProxy
let origin: FakeRegistry
/** What no descriptor may make anybody ask. */
let trap: FakeRegistry

beforeAll(async () => {
  trap = await FakeRegistry.start()
  proxy = await TestProxy.start({
    config: { limits: { retries: 0, layerUncompressed: 32 * MIB } },
  })
  origin = proxy.registry
}, START_MS)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await trap?.[Symbol.asyncDispose]()
})

/** `200`, or status and code of the error. */
async function outcomeOf(path: string): Promise<string> {
  const answer = await ask(`${proxy.base}/${path}`)
  return answer.status === 200 ? '200' : `${answer.status} ${errorOf(answer).code}`
}

/** Hex names of the store's blobs. */
async function stored(): Promise<readonly string[]> {
  return await storedBlobs(proxy.data)
}

async function temporaries(): Promise<readonly string[]> {
  return await readdir((await localLayout(proxy.data)).tmp)
}

// ------------------------------------------------------------------------------------------------ manifests

const layer = (more: Document) => imageDocument({ layers: [blob('layer 0', OCI_GZIP, more)] })
const child = (more: Document) => indexDocument({ manifests: [blob('x', OCI_MANIFEST, more)] })
const text = (value: unknown) => JSON.stringify(value)
const inside = (key: string, value: string) =>
  text(imageDocument({ annotations: { HERE: 1 } })).replace('"HERE":1', `"${key}":${value}`)
const nested = (depth: number) => inside('x', '['.repeat(depth) + ']'.repeat(depth))

/** What no client pulls, or only one that is deceived; everything else in the table is passed on as it is. */
const NEVER: ReadonlySet<string> = new Set([
  'another type inside',
  'schema 1',
  'signed schema 1',
  'manifests beside layers',
  'manifests beside a config',
  ...['of -1', 'of 1.5', 'in quotes', 'beyond 2^53'].map((size) => `a size ${size}`),
  '4 MiB and a byte',
  'data of 5 MB',
  '65 levels',
  '2,000,000 levels',
  'a byte order mark',
  'UTF-16',
  'bytes that are no UTF-8',
  'a NUL',
  'two documents',
  'a comment',
  'NaN',
  ...['null', '[]', '5', '"x"'].map((top) => `${top} alone`),
])

/** Row, what it is, the document, its media type, and what comes of asking for it converted. */
const DOCUMENTS: readonly [string, string, string | Uint8Array, string, string][] = [
  [
    'M01',
    'a digest of md5',
    text(layer({ digest: 'md5:d41d8cd98f00b204e9800998ecf8427e' })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['M01', 'a digest with ../', text(layer({ digest: 'sha256:../../x' })), OCI_MANIFEST, MANIFEST],
  [
    'M01',
    'a digest of 1 MB',
    text(layer({ digest: `sha256:${'a'.repeat(1e6)}` })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M02',
    'manifests beside layers',
    text(imageDocument({ manifests: [] })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M03',
    'manifests beside a config',
    text(indexDocument({ config: blob('c', OCI_CONFIG) })),
    OCI_INDEX,
    MANIFEST,
  ],
  ['M04', 'another type inside', text(imageDocument()), DOCKER_MANIFEST, MANIFEST],
  [
    'M06',
    'schema 1',
    text({ schemaVersion: 1, fsLayers: [], history: [] }),
    'application/vnd.docker.distribution.manifest.v1+json',
    REFUSED,
  ],
  [
    'M06',
    'signed schema 1',
    text({ schemaVersion: 1 }),
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    REFUSED,
  ],
  ['M07', 'a size of -1', text(layer({ size: -1 })), OCI_MANIFEST, MANIFEST],
  ['M07', 'a size of 1.5', text(layer({ size: 1.5 })), OCI_MANIFEST, MANIFEST],
  ['M07', 'a size in quotes', text(layer({ size: '10' })), OCI_MANIFEST, MANIFEST],
  [
    'M07',
    'a size of 1e3',
    text(layer({ size: 77777 })).replace('77777', '1e3'),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M07',
    'a size beyond 2^53',
    text(layer({ size: 77777 })).replace('77777', '9007199254740993'),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['M07', 'a size over 64 GiB', text(layer({ size: 64 * 1024 ** 3 + 1 })), OCI_MANIFEST, SIZE],
  ['M08', '4 MiB and a byte', text(imageDocument()).padEnd(4 * MIB + 1), OCI_MANIFEST, SIZE],
  [
    'M09',
    '513 layers',
    text(imageDocument({ layers: Array(513).fill(blob('x')) })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M09',
    '1,025 children',
    text(indexDocument({ manifests: Array(1025).fill(blob('x', OCI_MANIFEST)) })),
    OCI_INDEX,
    MANIFEST,
  ],
  ['M13', 'data of 5 MB', text(layer({ data: 'e'.repeat(5e6) })), OCI_MANIFEST, SIZE],
  [
    'M19',
    'a layer of two sizes',
    text(imageDocument({ layers: [blob('x'), blob('x', OCI_GZIP, { size: 1 })] })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M19',
    'a layer of two compressions',
    text(imageDocument({ layers: [blob('x'), blob('x', OCI_TAR)] })),
    OCI_MANIFEST,
    MANIFEST,
  ],
  [
    'M05',
    'a child that is both',
    text(indexDocument({ manifests: [blob('x', OCI_MANIFEST), blob('x', OCI_INDEX)] })),
    OCI_INDEX,
    MANIFEST,
  ],
  ['M18', 'a platform as text', text(child({ platform: 'linux/amd64' })), OCI_INDEX, MANIFEST],
  ['J01', '65 levels', nested(65), OCI_MANIFEST, MANIFEST],
  ['J01', '2,000,000 levels', nested(2e6), OCI_MANIFEST, MANIFEST],
  [
    'J02',
    'a key twice',
    text(imageDocument()).replace(/}$/, ',"layers":[]}'),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['J02', 'layers and Layers', text(imageDocument({ Layers: [] })), OCI_MANIFEST, MANIFEST],
  [
    'J02',
    'a key twice by an escape',
    text(imageDocument()).replace(/}$/, ',"\\u006cayers":[]}'),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['J04', 'a byte order mark', `\ufeff${text(imageDocument())}`, OCI_MANIFEST, MANIFEST],
  ['J04', 'UTF-16', Buffer.from(text(imageDocument()), 'utf16le'), OCI_MANIFEST, MANIFEST],
  [
    'J04',
    'bytes that are no UTF-8',
    Buffer.from(inside('x', '"\xff"'), 'latin1'),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['J04', 'half of a surrogate pair', inside('x', '"\\ud800"'), OCI_MANIFEST, MANIFEST],
  ['J04', 'a NUL', `${text(imageDocument())}\0`, OCI_MANIFEST, MANIFEST],
  [
    'J05',
    '300,000 keys like numbers',
    inside('x', text(Object.fromEntries(Array.from({ length: 3e5 }, (_, i) => [i, 1])))),
    OCI_MANIFEST,
    MANIFEST,
  ],
  ['J06', 'two documents', `${text(imageDocument())}{}`, OCI_MANIFEST, MANIFEST],
  ['J06', 'a comment', `${text(imageDocument())}//`, OCI_MANIFEST, MANIFEST],
  ['J06', 'NaN', inside('x', 'NaN'), OCI_MANIFEST, MANIFEST],
  ['J07', 'a million elements', inside('x', text(Array(1e6).fill(0))), OCI_MANIFEST, MANIFEST],
  ...['null', '[]', '5', '"x"', '{}'].map(
    (top) =>
      ['J08', `${top} alone`, top, OCI_MANIFEST, MANIFEST] as [
        string,
        string,
        string,
        string,
        string,
      ],
  ),
  ['J09', 'a list where a text belongs', text(layer({ mediaType: [] })), OCI_MANIFEST, MANIFEST],
  ['J10', '1e400', inside('x', '1e400'), OCI_MANIFEST, MANIFEST],
  ['J10', '-0', text(layer({ size: 77777 })).replace('77777', '-0'), OCI_MANIFEST, MANIFEST],
]

test.each(DOCUMENTS)('%s: a manifest with %s', async (row, what, document, mediaType, expected) => {
  const bytes = Buffer.from(document)
  const name = `documents/${row.toLowerCase()}-${digestOf(Buffer.from(what)).slice(7, 15)}`
  const digest = digestOf(bytes)
  origin.push(name, '1', { bytes, mediaType, digest })

  const plain = NEVER.has(what) ? expected : '200'
  for (const [reference, outcome] of [
    ['1-zstd', expected],
    ['1', plain],
    [digest, plain],
  ]) {
    const found = await outcomeOf(`${name}/manifests/${reference}`)
    expect([reference, found]).toEqual([reference, outcome])
  }

  if (NEVER.has(what)) expect(await stored()).not.toContain(digest.slice(7))
  else expect((await ask(`${proxy.base}/${name}/manifests/1`)).bytes.equals(bytes)).toBe(true)
  await expect.poll(temporaries).toEqual([])
})

// ------------------------------------------------------------------------------------------------ images

test('M10: an index that names itself, a cycle of two, and four levels end soon', async () => {
  const top = (digest: Digest, size: number) => {
    const bytes = json(indexDocument({ manifests: [{ mediaType: OCI_INDEX, digest, size }] }))
    return { bytes, mediaType: OCI_INDEX, digest: digestOf(bytes) }
  }
  const image = await fakeImage()
  origin.push('m10', undefined, image)
  let below = { ...image, mediaType: OCI_INDEX }
  const bytes = json(
    indexDocument({
      manifests: [{ mediaType: OCI_MANIFEST, digest: image.digest, size: image.bytes.byteLength }],
    }),
  )
  below = { ...below, bytes, digest: digestOf(bytes) }
  origin.push('m10', undefined, { bytes, mediaType: OCI_INDEX, digest: digestOf(bytes) })
  for (let level = 0; level < 4; level += 1) {
    const index = top(below.digest, below.bytes.byteLength)
    origin.push('m10', level === 3 ? '1' : undefined, index)
    below = { ...below, ...index }
  }

  const answer = await outcomeOf('m10/manifests/1-zstd')

  expect(answer).toBe(MANIFEST)
})

test('M05: a child of another type than its index says is not converted', async () => {
  const image = await fakeImage({ dialect: 'docker' })
  const { digest, bytes } = image
  const described = { mediaType: OCI_MANIFEST, digest, size: bytes.byteLength }
  const platform = { os: 'linux', architecture: 'amd64' }
  const index = json(indexDocument({ manifests: [{ ...described, platform }] }))
  origin.push('m05', undefined, image)
  origin.push('m05', '1', { bytes: index, mediaType: OCI_INDEX, digest: digestOf(index) })

  expect(await outcomeOf('m05/manifests/1-zstd')).toBe(MANIFEST)
})

test('J07: a text of nearly 4 MiB is read in no time', async () => {
  const bytes = Buffer.from(inside('x', `"${'x'.repeat(4 * MIB - 2000)}"`))
  origin.push('j07', '1', { bytes, mediaType: OCI_MANIFEST, digest: digestOf(bytes) })

  expect(await outcomeOf('j07/manifests/1')).toBe('200')
})

test('M11, M20: a config that does not fit its layers fails the conversion alone', async () => {
  const [one, two] = [await fakeLayer(), await fakeLayer()]
  const counts = { config: { rootfs: { type: 'layers', diff_ids: [one.diffId] } } }
  origin.push('m11', '1', await fakeImage({ layers: [one, two], ...counts }))
  const lie = { config: { rootfs: { type: 'layers', diff_ids: [two.diffId] } } }
  origin.push('m20', '1', await fakeImage({ layers: [one], ...lie }))

  expect(await outcomeOf('m11/manifests/1-zstd')).toBe(MANIFEST)
  expect(await outcomeOf('m20/manifests/1-zstd')).toBe(DIGEST)
  expect(await outcomeOf('m11/manifests/1')).toBe('200')
  expect(await outcomeOf('m20/manifests/1')).toBe('200')
})

test('M12, M13, M15, M16: urls, data, foreign tables and wild annotations', async () => {
  const one = await fakeLayer()
  const wild = { wild: '\r\nX-Evil: 1\u001b[31m', long: 'x'.repeat(1e6) }
  const forged = {
    'containerd.io/snapshot/stargz/toc.digest': one.digest,
    'io.github.containers.zstd-chunked.manifest-checksum': one.digest,
  }
  const described = {
    mediaType: one.mediaType,
    digest: one.digest,
    size: one.bytes.byteLength,
    urls: [`${trap.url}/v2/x/blobs/${one.digest}`, 'http://169.254.169.254/latest/meta-data/'],
    data: Buffer.from('another blob').toString('base64'),
    annotations: { ...forged, kept: 'yes' },
  }
  const image = await fakeImage({
    layers: [one],
    annotations: wild,
    manifest: { layers: [described] },
  })
  origin.push('m12', '1', image)

  const plain = await ask(`${proxy.base}/m12/manifests/1`)
  const { status, headers, bytes } = await ask(`${proxy.base}/m12/manifests/1-zstd`)

  expect([plain.status, status]).toEqual([200, 200])
  expect(digestOf(plain.bytes)).toBe(image.digest)
  const made = JSON.parse(bytes.toString()) as Document
  expect(made.layers[0]).not.toHaveProperty('urls')
  expect(made.layers[0]).not.toHaveProperty('data')
  expect(made.layers[0].annotations).toEqual({ kept: 'yes' })
  expect(made.annotations).toMatchObject(wild)
  expect(JSON.stringify({ ...headers, ...plain.headers })).not.toMatch(/evil/i)
  expect(trap.requests).toEqual([])
})

test.each([
  ['an unknown layer', { layers: [blob('m14', 'application/x-what')] }],
  ['no layers', { layers: [] }],
  [
    'an artifact',
    { artifactType: 'application/x-sbom', config: blob('e', 'application/vnd.oci.empty.v1+json') },
  ],
  ['an encrypted layer', { layers: [blob('enc', `${OCI_GZIP}+encrypted`)] }],
])('M14: an image with %s passes as it is', async (what, more) => {
  const bytes = json(imageDocument(more))
  const name = `m14/${what.replaceAll(' ', '-')}`
  origin.push(name, '1', { bytes, mediaType: OCI_MANIFEST, digest: digestOf(bytes) })

  const answer = await ask(`${proxy.base}/${name}/manifests/1-zstd`)

  expect(answer.status).toBe(200)
  expect(digestOf(answer.bytes)).toBe(digestOf(bytes))
  expect(answer.headers['crossdock-conversion']).toMatch(/^original; reason=/)
})

test('M17: a forged subject is asked of nobody', async () => {
  const subject = blob('elsewhere', OCI_MANIFEST)
  await origin.pushImage('m17', '1', { manifest: { subject } })

  expect(await outcomeOf('m17/manifests/1-zstd')).toBe('200')
  expect(origin.count({ name: 'm17', reference: String(subject.digest) })).toBe(0)
})

test('M18: platforms that are missing, doubled and full of junk leave the order as it is', async () => {
  const images = [await fakeImage(), await fakeImage(), await fakeImage()]
  const junk = [
    undefined,
    { os: 'linux', architecture: 'amd64', 'os.features': ['\u0000'] },
    { os: 'linux', architecture: 'amd64' },
  ]
  const bytes = json(
    indexDocument({
      manifests: images.map(({ mediaType, digest, bytes }, i) => ({
        ...{ mediaType, digest, size: bytes.byteLength, platform: junk[i] },
      })),
    }),
  )
  for (const image of images) origin.push('m18', undefined, image)
  origin.push('m18', '1', { bytes, mediaType: OCI_INDEX, digest: digestOf(bytes) })

  const answer = await ask(`${proxy.base}/m18/manifests/1-zstd`)

  expect(answer.status).toBe(200)
  const { manifests } = JSON.parse(answer.bytes.toString()) as Document
  expect(manifests).toHaveLength(3)
  expect(manifests[0].platform).toBeUndefined()
})

test('J03: keys that poison prototypes are keys like any other', async () => {
  const poison = inside('__proto__', '"x"').replace('{', '{"constructor":{},"hasOwnProperty":1,')
  const bytes = Buffer.from(poison)
  origin.push('j03', '1', { bytes, mediaType: OCI_MANIFEST, digest: digestOf(bytes) })

  expect(await outcomeOf('j03/manifests/1')).toBe('200')
})

// ------------------------------------------------------------------------------------------------ layers

/** A layer of these bytes that claims to unpack to this tar. */
function layerOf(bytes: Uint8Array, mediaType: string, tar: Uint8Array = honest): FakeLayer {
  return { bytes, mediaType, tar, digest: digestOf(bytes), diffId: digestOf(tar) }
}

const honest = tarOf({ name: 'a', body: seededText(3000, 'corpus') })
const zipped = gzipSync(honest)
const frame = zstdCompressSync(honest)
const gz = (bytes: Uint8Array) => layerOf(bytes, OCI_GZIP)
const zst = (bytes: Uint8Array) => layerOf(bytes, OCI_ZSTD)
const packed = (tar: Uint8Array) => layerOf(gzipSync(tar), OCI_GZIP, tar)
const flipped = (bytes: Uint8Array, at: number) => {
  const changed = Buffer.from(bytes)
  const i = at < 0 ? changed.length + at : at
  changed[i] = (changed[i] ?? 0) ^ 0xff
  return changed
}
const header = (hex: string) => Buffer.from(`28b52ffd${hex}`, 'hex')
const zeros = Buffer.alloc(33 * MIB)

/** Row, what it is, the layer, and what comes of pulling it as gzip or zstd, whichever it is not. */
const LAYERS: readonly [string, string, FakeLayer, string][] = [
  ['G01', 'a wrong CRC', gz(flipped(zipped, -8)), MANIFEST],
  ['G01', 'a wrong length', gz(flipped(zipped, -1)), MANIFEST],
  ['G01', 'reserved flags', gz(flipped(zipped, 3)), MANIFEST],
  ...[1, 5, 20].map(
    (cut) =>
      ['G02', `its last ${cut} bytes missing`, gz(zipped.subarray(0, -cut)), MANIFEST] as [
        string,
        string,
        FakeLayer,
        string,
      ],
  ),
  ['G03', 'zeros behind its end', gz(Buffer.concat([zipped, Buffer.alloc(100)])), MANIFEST],
  ['G03', 'garbage behind its end', gz(Buffer.concat([zipped, randomBytes(50)])), MANIFEST],
  [
    'G04',
    'a thousand members',
    gz(
      Buffer.concat(
        Array.from({ length: 1000 }, (_, i) =>
          gzipSync(
            honest.subarray(
              Math.floor((i * honest.length) / 1000),
              Math.floor(((i + 1) * honest.length) / 1000),
            ),
          ),
        ),
      ),
    ),
    '200',
  ],
  [
    'G05',
    '100,000 empty members',
    gz(Buffer.concat([...Array(1e5).fill(gzipSync('')), zipped])),
    '200',
  ],
  ['G06', 'more in it than allowed', packed(zeros), SIZE],
  [
    'G07',
    'an extra field of 64 KiB',
    gz(
      Buffer.concat([
        zipped.subarray(0, 3),
        Buffer.of(4),
        zipped.subarray(4, 10),
        Buffer.of(0xff, 0xff),
        Buffer.alloc(65535),
        zipped.subarray(10),
      ]),
    ),
    '200',
  ],
  [
    'G07',
    'a name of 1 MB without an end',
    gz(
      Buffer.concat([
        zipped.subarray(0, 3),
        Buffer.of(8),
        zipped.subarray(4, 10),
        Buffer.alloc(1e6, 'n'),
      ]),
    ),
    MANIFEST,
  ],
  ['Z01', 'a window of 512 MiB', zst(header('009800000000')), SIZE],
  ['Z01', 'a window of 3.75 TB', zst(header('00ff00000000')), SIZE],
  ['Z02', 'a content size of 2^63', zst(header('e00000000000000080010000')), SIZE],
  ['Z02', 'a wrong content size', zst(flipped(frame, 5)), MANIFEST],
  ['Z03', 'a wrong checksum', zst(flipped(withChecksum(), -1)), MANIFEST],
  ['Z04', 'a dictionary', zst(header('21014400010000')), MANIFEST],
  ['Z05', 'more in it than allowed', layerOf(zstdCompressSync(zeros), OCI_ZSTD, zeros), SIZE],
  [
    'Z06',
    'a skippable frame that claims 4 GiB',
    zst(Buffer.concat([frame, Buffer.from('502a4d18ffffffff', 'hex')])),
    MANIFEST,
  ],
  [
    'Z06',
    '10,000 skippable frames',
    zst(
      Buffer.concat([
        ...Array(1e4).fill(Buffer.from('502a4d180000000000', 'hex').subarray(0, 8)),
        frame,
      ]),
    ),
    '200',
  ],
  [
    'Z07',
    'a thousand frames',
    zst(
      Buffer.concat(
        Array.from({ length: 1000 }, (_, i) =>
          zstdCompressSync(
            honest.subarray(
              Math.floor((i * honest.length) / 1000),
              Math.floor(((i + 1) * honest.length) / 1000),
            ),
          ),
        ),
      ),
    ),
    '200',
  ],
  [
    'Z08',
    'the magic of zstd 0.7',
    zst(Buffer.concat([Buffer.from('27b52ffd', 'hex'), frame.subarray(4)])),
    MANIFEST,
  ],
  ['Z08', 'its end missing', zst(frame.subarray(0, -5)), MANIFEST],
  ['Z10', 'xz in it', gz(Buffer.from('fd377a585a000004e6d6b446', 'hex')), MANIFEST],
  ['Z10', 'bzip2 in it', gz(Buffer.from('425a6839314159265359', 'hex')), MANIFEST],
  ['T20', 'random bytes in it', packed(randomBytes(2000)), '200'],
]

/** Hex digests of what upstream has. */
const known = new Set<string>()

function withChecksum(): Uint8Array {
  return zstdCompressSync(honest, { params: { 201: 1 } })
}

test.each(LAYERS)('%s: a layer with %s', async (row, what, one, expected) => {
  const name = `layers/${row.toLowerCase()}-${digestOf(Buffer.from(what)).slice(7, 15)}`
  const image = await fakeImage({ layers: [one] })
  origin.push(name, '1', image)
  const before = await stored()
  for (const { digest } of [image, image.config, one]) known.add(digest.slice(7))
  const profile = one.mediaType === OCI_ZSTD ? 'gzip' : 'zstd'

  expect(await outcomeOf(`${name}/manifests/1-${profile}`)).toBe(expected)
  expect(await outcomeOf(`${name}/manifests/1`)).toBe('200')

  if (expected === '200') return
  // A layer that was refused before its end arrives all the same, and stays as what it is.
  const made = (await stored()).filter((hex) => !before.includes(hex) && !known.has(hex))
  expect(made).toEqual([])
  await expect.poll(temporaries).toEqual([])
})

// ------------------------------------------------------------------------------------------------ tars

const file = record({ name: 'f', body: Buffer.from('x') })
/** Row, what it is, the tar, and who gives it a table; else it becomes plain gzip, or zstd, of the very same tar. */
const TARS: readonly [string, string, Uint8Array, 'refused' | 'taken' | 'estargz'][] = [
  [
    'T01',
    'a hard link with a size',
    tarOf({ name: 'l', type: '1', link: 'f', size: 512 }, { name: 'hidden' }),
    'refused',
  ],
  [
    'T02',
    'a symlink with a size',
    tarOf({ name: 'l', type: '2', link: 'f', size: 512 }, { name: 'hidden' }),
    'refused',
  ],
  [
    'T03',
    'a folder with a size',
    tarOf({ name: 'd/', type: '5', size: 512 }, { name: 'hidden' }),
    'refused',
  ],
  [
    'T04',
    'a device with a size',
    tarOf({ name: 'c', type: '3', size: 512 }, { name: 'hidden' }),
    'refused',
  ],
  [
    'T05',
    'an extended header of 8 GiB',
    tarOf({ name: 'x', type: 'x', size: 0o77777777777 }),
    'refused',
  ],
  [
    'T05',
    'a long name of 2^87 bytes',
    tarOf({ name: 'x', type: 'L', edit: (block) => base256(block, 124, 12, 1n << 87n) }),
    'refused',
  ],
  ['T06', 'a sparse file', tarOf({ name: 's', pax: { 'GNU.sparse.major': '1' } }), 'refused'],
  [
    'T07',
    'a size before a long name',
    Buffer.concat([
      record({ name: 'x', type: 'x', body: paxBody({ size: '1' }) }),
      tarOf({ name: 'f', longName: 'long', body: Buffer.from('1') }),
    ]),
    'refused',
  ],
  ['T08', 'a size that is no number', tarOf({ name: 'f', pax: { size: 'abc' } }), 'refused'],
  [
    'T09',
    'entries behind its end',
    Buffer.concat([tarOf({ name: 'f' }), tarOf({ name: 'g' })]),
    'refused',
  ],
  [
    'T10',
    'a negative size',
    tarOf({ name: 'n', edit: (block) => base256(block, 124, 12, -512n) }),
    'refused',
  ],
  ['T11', 'a wrong checksum', flipped(tarOf({ name: 'f' }), 100), 'refused'],
  [
    'T12',
    'a global header that sets a path',
    tarOf({ name: 'g', type: 'g', body: paxBody({ path: 'evil' }) }, { name: 'f' }),
    'refused',
  ],
  [
    'T13',
    'paths out of it',
    tarOf({ name: '../../etc/passwd' }, { name: '/abs' }, { name: 'a//b' }, { name: 'a\\b\n' }),
    'taken',
  ],
  [
    'T13',
    'a path of 5,000 bytes',
    tarOf({ name: 'f', pax: { path: 'n'.repeat(5000) } }),
    'refused',
  ],
  ['T14', 'a symlink out of it', tarOf({ name: 'l', type: '2', link: '../../..' }), 'taken'],
  [
    'T14',
    'a hard link to nothing',
    tarOf({ name: 'h', type: '1', link: '../../missing' }),
    'refused',
  ],
  ['T15', 'a path twice', tarOf({ name: 'a' }, { name: 'a', body: Buffer.from('2') }), 'refused'],
  ['T15', 'whiteouts', tarOf({ name: '.wh.b' }, { name: 'd/.wh..wh..opq' }), 'taken'],
  ['T16', 'no blocks of zeros', file, 'taken'],
  [
    'T16',
    'a cut in content',
    tarOf({ name: 'f', body: Buffer.alloc(5000) }).subarray(0, 2000),
    'refused',
  ],
  [
    'T17',
    'a file named like a table',
    tarOf(
      { name: 'stargz.index.json', body: Buffer.from('{}') },
      { name: '.prefetch.landmark', body: Buffer.of(15) },
    ),
    'estargz',
  ],
  [
    'T18',
    'an xattr that is no text, devices, setuid',
    tarOf(
      { name: 'f', mode: 0o4755, pax: { 'SCHILY.xattr.user.k': Buffer.of(0xff, 0) } },
      { name: 'd', type: '3', device: [1, 3] },
    ),
    'taken',
  ],
  [
    'T18',
    'an xattr of 64 KiB and a byte',
    tarOf({ name: 'f', pax: { 'SCHILY.xattr.user.k': Buffer.alloc(64 * 1024 + 1, 'x') } }),
    'taken',
  ],
  [
    'T18',
    '10,000 xattrs',
    tarOf({
      name: 'f',
      pax: Object.fromEntries(
        Array.from({ length: 10_000 }, (_, i) => [`SCHILY.xattr.user.k${i}`, `${i}`]),
      ),
    }),
    'taken',
  ],
  [
    'T18',
    'xattrs of more than 1 MiB',
    tarOf({ name: 'f', pax: { 'SCHILY.xattr.user.k': Buffer.alloc(1024 ** 2, 'x') } }),
    'refused',
  ],
  ['T20', 'nothing but its end', END, 'taken'],
]

test.each(TARS)('%s: a tar with %s', async (row, what, tar, expected) => {
  const name = `tars/${row.toLowerCase()}-${digestOf(Buffer.from(what)).slice(7, 15)}`
  const one = packed(tar)
  origin.push(name, '1', await fakeImage({ layers: [one] }))

  for (const profile of ['estargz', 'zstdchunked']) {
    const answer = await ask(`${proxy.base}/${name}/manifests/1-${profile}`)
    expect([profile, answer.status]).toEqual([profile, 200])
    const { layers } = JSON.parse(answer.bytes.toString()) as Document
    const table = Object.keys(layers[0].annotations ?? {}).some((key) => /toc|manifest-/.test(key))
    expect([profile, table]).toEqual([profile, expected === 'taken' || expected === profile])
  }
  expect(await outcomeOf(`${name}/manifests/1-zstd`)).toBe('200')
})

// ------------------------------------------------------------------------------------------------ afterwards

test('afterwards the process is up, honest images are served, and the log has no raw control characters', async () => {
  await origin.pushImage('honest', '1')

  expect(await outcomeOf('honest/manifests/1-estargz')).toBe('200')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(proxy.crossdock.output()).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
  expect(await proxy.crossdock.peakRss()).toBeLessThan(600 * MIB)
  expect(trap.requests).toEqual([])
})
