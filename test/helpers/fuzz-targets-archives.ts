/** Parsers of layers and of image archives. */
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import type { PlanContext } from '../../src/bundle/bundle-plan.ts'
import { formatDescription, parseDescription } from '../../src/bundle/description-file.ts'
import { type ArchiveContext, planDockerArchive } from '../../src/bundle/docker-archive.ts'
import { planLayout } from '../../src/bundle/foreign-layout.ts'
import { decompressOuter } from '../../src/bundle/outer-compression.ts'
import { planOwnBundle } from '../../src/bundle/own-bundle.ts'
import { readTar as readArchive } from '../../src/bundle/tar-archive.ts'
import { decodeLayer } from '../../src/codec/codecs.ts'
import { gzip } from '../../src/codec/gzip.ts'
import { zstd } from '../../src/codec/zstd.ts'
import { estargz } from '../../src/format/estargz.ts'
import { estargzFooter, parseEstargzFooter } from '../../src/format/estargz-footer.ts'
import { LayerRefusedError } from '../../src/format/format.ts'
import type { LayerFormat } from '../../src/format/layer-format.ts'
import { readPriorities } from '../../src/format/priorities.ts'
import { zstdchunked } from '../../src/format/zstd-chunked.ts'
import { type ByteStream, collect, streamOf } from '../../src/lib/streams.ts'
import { type Digest, digestOf } from '../../src/oci/digest.ts'
import { DEFAULT_MODEL_LIMITS, parseImageConfig, parseManifest } from '../../src/oci/manifest.ts'
import { CONFIG_TYPES, MANIFEST_TYPES } from '../../src/oci/media-type.ts'
import { parseName } from '../../src/oci/reference.ts'
import { optionsText, recipeIn, recipeText } from '../../src/ports/recipe.ts'
import { madeOf } from '../../src/recorded.ts'
import { AmbiguousTarError } from '../../src/tar/entry.ts'
import { readTar } from '../../src/tar/reader.ts'
import { chunked, seededBytes, seededText } from './bytes.ts'
import { type FuzzTarget, mustEqual, mustHold } from './fuzz-target.ts'
import { encodeLazy } from './lazy-encode.ts'
import { base256, sealed, tarOf } from './tars.ts'

const MIB = 1024 ** 2
const LIMITS = { maxOutput: 4 * MIB, maxWindowLog: 23 }

/** One of each kind of header, and little content. */
const TARS = [
  tarOf(
    { name: 'etc/', type: '5' },
    {
      name: 'etc/hello',
      body: Buffer.from('hello\n'),
      pax: { mtime: '1.5', 'SCHILY.xattr.a': 'b' },
    },
    { name: 'l', type: '2', longLink: `../${'l'.repeat(120)}` },
    { name: 'h', type: '1', link: 'etc/hello' },
  ),
  tarOf(
    { name: 'y', longName: `gnu/${'n'.repeat(150)}`, body: seededText(700, 'a') },
    { name: 'dev/null', type: '3', device: [1, 3] },
    { name: 'b', edit: (block) => base256(block, 108, 8, 4_000_000n) },
    { name: 'g', type: 'g', body: Buffer.from('19 comment=by hand\n') },
    { name: '.wh.old' },
  ),
]
const TAR_WORDS = [
  ...['ustar\u000000', 'ustar  \0', '././@LongLink', '12 size=512\n', '11 path=a\n', '9 size=\n'],
  ...[
    '19 GNU.sparse.major=1\n',
    '25 GNU.sparse.name=hidden\n',
    '\x80\0\0\0\0\0\0\0\0\0\x10\0',
    '../',
  ],
  ...['stargz.index.json', '.prefetch.landmark', '30 SCHILY.xattr.user.k=value\n\n\n', '7777777'],
]
const isAmbiguous = (error: Error) => error instanceof AmbiguousTarError

/** Blocks that call themselves headers get their checksum. */
function repairTar(input: Buffer): Buffer {
  for (let at = 0; at + 512 <= input.length; at += 512) {
    const block = input.subarray(at, at + 512)
    if (block.toString('latin1', 257, 262) === 'ustar') sealed(block)
  }
  return input
}

async function drain(bytes: ByteStream): Promise<Buffer> {
  return Buffer.from(await collect(bytes, LIMITS.maxOutput * 2))
}

/** Nothing of the tar is lost, and chunks do not matter. */
async function runTar(bytes: Buffer): Promise<void> {
  const read = async (sizes: readonly number[]) => {
    const parts: Uint8Array[] = []
    const names: string[] = []
    for await (const event of readTar(chunked(bytes, sizes))) {
      parts.push(event.kind === 'entry' ? event.raw : event.bytes)
      if (event.kind === 'entry') names.push(`${event.entry.type} ${event.entry.name}`)
    }
    mustHold(Buffer.concat(parts).equals(bytes), 'the events are the tar')
    return names
  }
  mustEqual(await read([7, 513]), await read([bytes.length || 1]), 'entries in other chunks')
}

async function runGzip(bytes: Buffer): Promise<void> {
  const whole = await drain(gzip.decode(streamOf(bytes), LIMITS))
  mustHold(whole.equals(gunzipSync(bytes)), 'zlib has other bytes')
  mustHold(whole.equals(await drain(gzip.decode(chunked(bytes, [3]), LIMITS))), 'in other chunks')
}

async function runZstd(bytes: Buffer): Promise<void> {
  const whole = await drain(zstd.decode(streamOf(bytes), LIMITS))
  mustHold(whole.equals(await drain(zstd.decode(chunked(bytes, [5]), LIMITS))), 'in other chunks')
}

async function runEstargz(bytes: Buffer): Promise<void> {
  const found = await readPriorities({
    size: bytes.length,
    read: ({ start, end }) => streamOf(bytes.subarray(start, end)),
  })
  mustHold(found?.every((name) => typeof name === 'string') ?? true, 'priorities are names')
  const offset = parseEstargzFooter(bytes)
  if (offset === undefined) return
  mustHold(Buffer.from(estargzFooter(offset)).equals(bytes.subarray(-51)), 'a footer')
}

/** A table of contents, packed as it lies in a blob. */
async function runToc(json: Buffer): Promise<void> {
  const table = gzipSync(tarOf({ name: 'stargz.index.json', body: json }))
  await runEstargz(Buffer.concat([Buffer.alloc(10), table, estargzFooter(10)]))
}

/** A layer that a lazy format takes decodes to what it says, and for zstd:chunked to the very tar. */
function runFormat(format: LayerFormat) {
  return async (tar: Buffer): Promise<void> => {
    const { bytes, facts } = await encodeLazy(format, tar, { concurrency: 1 })
    const decoded = await drain(decodeLayer(streamOf(bytes), LIMITS))
    if (format.encoding.tar === 'kept') mustHold(decoded.equals(tar), 'the frames are not the tar')
    else mustEqual(digestOf(decoded), facts.diffId, 'diffID')
  }
}

async function runArchive(bytes: Buffer): Promise<void> {
  let size = 0
  for await (const entry of readArchive(chunked(bytes, [700]))) {
    mustHold(!entry.name.startsWith('/'), 'names are relative')
    // Every other one is left unread.
    if (entry.kind !== 'file' || size % 2 === 1) continue
    for await (const chunk of entry.read()) size += chunk.byteLength
  }
  mustHold(size <= bytes.length, 'no bytes come from nowhere')
}

async function runOuter(bytes: Buffer): Promise<void> {
  // xz is a program of its own, a process for each input.
  if (bytes[0] === 0xfd && bytes[1] === 0x37) return
  await drain(decompressOuter(streamOf(bytes)))
}

// ------------------------------------------------------------------------------------------------ plans

const layerTar = TARS[0] ?? Buffer.alloc(0)
const layerGzip = gzipSync(layerTar)
const encode = (value: unknown) => Buffer.from(JSON.stringify(value))
const configBytes = encode({
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [digestOf(layerTar)] },
})
const describe = (mediaType: string, bytes: Buffer) => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
})
const manifestBytes = encode({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPES.oci,
  config: describe(CONFIG_TYPES.oci, configBytes),
  layers: [describe('application/vnd.oci.image.layer.v1.tar+gzip', layerGzip)],
})
const BLOBS = new Map([layerGzip, configBytes, manifestBytes].map((one) => [digestOf(one), one]))
const hex = (bytes: Buffer) => digestOf(bytes).slice(7)

function found(digest: Digest) {
  const bytes = BLOBS.get(digest)
  return bytes && { digest, size: bytes.length }
}

const context: PlanContext & ArchiveContext = {
  read: async (digest) => BLOBS.get(digest) ?? Buffer.alloc(0),
  stream: (digest) => streamOf(BLOBS.get(digest) ?? Buffer.alloc(0)),
  parse: (raw) => parseManifest(raw, DEFAULT_MODEL_LIMITS),
  parseConfig: (bytes) => parseImageConfig(bytes, DEFAULT_MODEL_LIMITS),
  findFile: (name) =>
    [...BLOBS.keys()]
      .map((one) => found(one))
      .find((one) => one && name.includes(one.digest.slice(7))),
  locate: (name) => ({ upstream: 'docker.io', name: parseName(name) }),
  fallback: { upstream: 'localhost', name: 'bundle' },
  maxManifestBytes: 4 * MIB,
  maxConfigBytes: 4 * MIB,
  maxLayerBytes: 4 * MIB,
}

const manifest = describe(MANIFEST_TYPES.oci, manifestBytes)
const layout = (annotations: Readonly<Record<string, string>>) =>
  JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] })
const bundled = {
  images: [
    {
      name: 'docker.io/library/a:1',
      reference: 'docker.io/library/a:1-zstd',
      digest: manifest.digest,
      mediaType: manifest.mediaType,
      profile: 'zstd',
      platforms: ['linux/amd64'],
      size: 3,
    },
  ],
  manifests: [{ ...manifest, repository: 'docker.io/library/a', tags: ['1'] }],
  conversions: [
    madeOf({
      repository: { upstream: 'docker.io', name: 'library/a' },
      source: manifest.digest,
      recipe:
        '{"profile":"zstd","format":"zstd","revision":1,"options":{"level":3},"dialect":"oci"}',
      profile: 'zstd',
      target: manifest.digest,
      mediaType: manifest.mediaType,
      size: manifest.size,
      layers: [
        {
          source: digestOf(layerGzip),
          target: digestOf(layerGzip),
          diffId: digestOf(layerTar),
          encoding: 'zstd',
          revision: 1,
          options: '{"level":3}',
          size: layerGzip.length,
          uncompressedSize: layerTar.length,
          facts: {},
        },
      ],
    }),
  ],
  requires: [],
  blobs: [...BLOBS.keys()].flatMap((one) => found(one) ?? []),
  layers: [
    {
      digest: digestOf(layerGzip),
      size: layerGzip.length,
      travels: 'as-tar',
      tar: { digest: digestOf(layerTar), size: layerTar.length },
      corrections: { digest: digestOf(layerTar), size: 100 },
      encoder: 'zlib 6',
    },
  ],
  omitted: [],
} as unknown as Parameters<typeof formatDescription>[0]

/** Whatever plan comes of it can be acted on, and described again. */
async function runDescription(bytes: Buffer): Promise<void> {
  const parsed = parseDescription(bytes)
  const plan = await planOwnBundle(parsed, found, context)
  for (const { recipe, layers } of plan.conversions) {
    mustHold(recipeIn(recipeText(recipe)) !== undefined, 'a recipe is one when it is written')
    for (const { options } of layers) optionsText(options)
  }
  for (const { repository, tags } of plan.manifests) {
    parseName(repository.name)
    mustHold(
      tags.every((tag) => tag.length <= 128),
      'tags are tags',
    )
  }
  const again = parseDescription(Buffer.from(formatDescription(parsed)))
  mustEqual(again.manifests, parsed.manifests, 'a description written again')
}

export const ARCHIVE_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'tar',
    seeds: TARS,
    words: TAR_WORDS,
    maxSize: 8192,
    repair: repairTar,
    mayThrow: isAmbiguous,
    run: runTar,
  },
  {
    name: 'gzip',
    seeds: [
      gzipSync(seededText(900, 'a')),
      Buffer.concat([gzipSync('a'), gzipSync('')]),
      gzipSync('x', { level: 0 }),
    ],
    words: ['\x1f\x8b\x08\0', '\x1f\x8b\x08\x1f', '\0\0\0\0', '\x01\0\0\xff\xff'],
    maxSize: 2048,
    run: runGzip,
  },
  {
    name: 'zstd',
    seeds: [
      zstdCompressSync(seededText(900, 'a')),
      Buffer.concat([
        zstdCompressSync(Buffer.alloc(5000)),
        Buffer.from('502a4d1803000000616263', 'hex'),
      ]),
      zstdCompressSync(seededBytes(300, 'b')),
    ],
    words: ['\x28\xb5\x2f\xfd', '\x50\x2a\x4d\x18\x04\0\0\0', '\xff\xff\xff\xff', '\x03\0\0'],
    maxSize: 2048,
    run: runZstd,
  },
  {
    name: 'layer',
    seeds: [gzipSync(layerTar), zstdCompressSync(layerTar), layerTar],
    words: ['\xfd7zXZ\0', 'BZh', '\x28\xb5\x2f\xfd', '\x1f\x8b\x08'],
    run: async (bytes) => drain(decodeLayer(streamOf(bytes), LIMITS)),
  },
  {
    name: 'estargz-blob',
    seeds: [
      Buffer.concat([
        gzipSync(tarOf({ name: 'stargz.index.json', body: encode({ version: 1, entries: [] }) })),
        estargzFooter(0),
      ]),
    ],
    words: [Buffer.from(estargzFooter(1)).toString('latin1'), 'STARGZ', '0000000000000001'],
    run: runEstargz,
  },
  {
    name: 'estargz-toc',
    seeds: [
      '{"version":1,"entries":[{"name":"a","type":"reg"},{"name":".prefetch.landmark","type":"reg"}]}',
    ],
    words: [
      '"entries":',
      '".prefetch.landmark"',
      '".no.prefetch.landmark"',
      '../',
      '\ufeff',
      '{"a":[',
    ],
    run: runToc,
  },
  {
    name: 'estargz-encoder',
    seeds: TARS,
    words: TAR_WORDS,
    maxSize: 8192,
    repair: repairTar,
    mayThrow: (error) => error instanceof LayerRefusedError,
    run: runFormat(estargz),
  },
  {
    name: 'zstdchunked-encoder',
    seeds: TARS,
    words: TAR_WORDS,
    maxSize: 8192,
    repair: repairTar,
    mayThrow: (error) => error instanceof LayerRefusedError,
    run: runFormat(zstdchunked),
  },
  {
    name: 'archive',
    seeds: TARS,
    words: [...TAR_WORDS, 'index.json', 'blobs/sha256/'],
    maxSize: 8192,
    repair: repairTar,
    run: runArchive,
  },
  {
    name: 'archive-compression',
    seeds: [gzipSync(layerTar), zstdCompressSync(layerTar), layerTar],
    words: ['\x28\xb5\x2f\xfd', '\x1f\x8b\x08', 'ustar'],
    run: runOuter,
  },
  {
    name: 'layout-index',
    seeds: [
      layout({ 'org.opencontainers.image.ref.name': 'alpine:3' }),
      layout({
        'io.containerd.image.name': 'ghcr.io/a/b:1',
        'org.opencontainers.image.ref.name': '1',
      }),
      layout({ 'org.opencontainers.image.ref.name': `sha256-${hex(manifestBytes)}.sig` }),
      layout({}),
    ],
    words: [
      '"manifests":',
      '"annotations":',
      '"org.opencontainers.image.ref.name":"',
      '\u0000',
      '@sha256:',
    ],
    run: async (bytes) => {
      const { manifests } = await planLayout(bytes, found, context)
      for (const { tags } of manifests) {
        mustHold(
          tags.every((tag) => /^[\w][\w.-]{0,127}$/.test(tag)),
          'tags are tags',
        )
      }
    },
  },
  {
    name: 'docker-archive',
    seeds: [
      JSON.stringify([
        {
          Config: `${hex(configBytes)}.json`,
          RepoTags: ['alpine:3'],
          Layers: [`blobs/sha256/${hex(layerGzip)}`],
        },
      ]),
    ],
    words: ['"RepoTags":null', '"Layers":[]', '../', '\u0000'],
    run: (bytes) => planDockerArchive(bytes, context),
  },
  {
    name: 'bundle.json',
    seeds: [formatDescription(bundled)],
    words: [
      '"bundleVersion": 2',
      '"bundleVersion": 3',
      '"travels":"as-tar"',
      '"recipe":"{',
      '"tags":[',
      '"../../x"',
    ],
    maxSize: 16_384,
    run: runDescription,
  },
]
