/** Parsers of what registries send: manifests, configs, names, lists. */

import { digestOf, parseDigest } from '../../src/oci/digest.ts'
import { readJson } from '../../src/oci/json.ts'
import { DEFAULT_MODEL_LIMITS, parseImageConfig, parseManifest } from '../../src/oci/manifest.ts'
import { CONFIG_TYPES, INDEX_TYPES, MANIFEST_TYPES } from '../../src/oci/media-type.ts'
import { formatPlatform, matchesPlatform, parsePlatform } from '../../src/oci/platform.ts'
import { parseReference, splitSuffix } from '../../src/oci/reference.ts'
import { patchDiffIds, rewriteImage, rewriteIndex } from '../../src/oci/rewrite.ts'
import type { Answer } from '../../src/upstream/answer.ts'
import { readReferrers, readTags } from '../../src/upstream/listing.ts'
import { manifestTypeOf } from '../../src/upstream/manifest-type.ts'
import { type FuzzTarget, mustEqual, mustHold } from './fuzz-target.ts'

const DIGEST = digestOf(Buffer.from('x'))
const OTHER = digestOf(Buffer.from('y'))
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'

const layer = {
  mediaType: LAYER,
  digest: DIGEST,
  size: 10,
  urls: ['http://169.254.169.254/'],
  annotations: { 'containerd.io/snapshot/stargz/toc.digest': DIGEST, a: 'b' },
  data: 'eA==',
}
const image = {
  schemaVersion: 2,
  mediaType: MANIFEST_TYPES.oci,
  artifactType: 'a/b',
  config: { mediaType: CONFIG_TYPES.oci, digest: OTHER, size: 3 },
  layers: [layer, { ...layer, digest: OTHER, size: 3 }],
  subject: { mediaType: MANIFEST_TYPES.oci, digest: DIGEST, size: 10 },
  annotations: { 'dev.crossdock.profile': 'zstd' },
}
const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' }
const index = {
  schemaVersion: 2,
  mediaType: INDEX_TYPES.oci,
  manifests: [
    { mediaType: MANIFEST_TYPES.oci, digest: DIGEST, size: 10, platform },
    {
      mediaType: MANIFEST_TYPES.docker,
      digest: OTHER,
      size: 3,
      annotations: { 'vnd.docker.reference.digest': DIGEST },
    },
  ],
}
const config = {
  os: 'linux',
  architecture: 'amd64',
  rootfs: { type: 'layers', diff_ids: [DIGEST, OTHER] },
  history: [{ created_by: 'sh' }],
}
const text = (value: unknown) => JSON.stringify(value)
const KEYS = [
  ...['"layers":', '"Layers":', '"manifests":', '"config":', '"\\u006cayers":', '"__proto__":{},'],
  ...['\ufeff', '\\ud800', '{"a":{"a":', '[[[[[[[[', '1e400', '"schemaVersion":1', '"fsLayers":[]'],
]
const TYPES = [...Object.values(MANIFEST_TYPES), ...Object.values(INDEX_TYPES)]

/** Whatever media type it comes with; writing it again twice changes nothing more. */
function runManifest(bytes: Buffer): void {
  const failures: unknown[] = []
  for (const mediaType of TYPES) {
    try {
      checkManifest(mediaType, bytes)
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length === TYPES.length) throw failures[0]
  const wrong = failures.find((error) => (error as Error).name !== 'CrossdockError')
  if (wrong !== undefined) throw wrong
}

function checkManifest(mediaType: string, bytes: Uint8Array): void {
  const once = rewrite(mediaType, bytes)
  const twice = rewrite(once.mediaType, once.bytes)
  mustEqual(twice.digest, once.digest, 'a manifest written twice')
  mustHold(!Buffer.from(once.bytes).includes('"data":'), 'embedded data is dropped')
}

function rewrite(mediaType: string, bytes: Uint8Array) {
  const parsed = parseManifest({ mediaType, bytes, digest: digestOf(bytes) }, DEFAULT_MODEL_LIMITS)
  const { dialect } = parsed
  if (parsed.kind === 'index') {
    return rewriteIndex(parsed, { dialect, annotations: {}, children: new Map() })
  }
  const layers = parsed.layers.map((_, of) => ({ kind: 'kept', of }) as const)
  return rewriteImage(parsed, { dialect, annotations: {}, layers })
}

function runConfig(bytes: Buffer): void {
  const { diffIds } = parseImageConfig(bytes, DEFAULT_MODEL_LIMITS)
  const changed = diffIds.map((_, i) => digestOf(Buffer.from(String(i))))
  const patched = patchDiffIds(bytes, changed)
  mustEqual(parseImageConfig(patched, DEFAULT_MODEL_LIMITS).diffIds, changed, 'patched diffIDs')
}

/** What is accepted is what JSON.parse makes of it, and no object got another prototype. */
function runJson(bytes: Buffer): void {
  const value = readJson(bytes, { what: 'it', maxBytes: 2 ** 20, rewritten: true })
  mustEqual(value, JSON.parse(bytes.toString()), 'JSON')
  mustEqual(JSON.parse(JSON.stringify(value)), value, 'JSON written again')
  mustHold(Object.getPrototypeOf(value) === Object.prototype, 'the prototype stays')
}

function runReference(bytes: Buffer): void {
  const { name, tag, digest } = parseReference(bytes.toString())
  const printed = `${name}${tag === undefined ? '' : `:${tag}`}${digest ? `@${digest}` : ''}`
  mustEqual(parseReference(printed), { name, tag, digest }, 'a reference printed and read again')
  const split = tag === undefined ? undefined : splitSuffix(tag, ['zstd', 'zstd-max', ''])
  mustHold(split === undefined || `${split.base}-${split.suffix}` === tag, 'a suffix')
}

function runPlatform(bytes: Buffer): void {
  const parsed = parsePlatform(bytes.toString())
  mustEqual(parsePlatform(formatPlatform(parsed)), parsed, 'a platform printed and read again')
  mustHold(matchesPlatform(parsed, parsed), 'a platform matches itself')
}

/** Every page is the same one, which a hostile registry may well send. */
async function runLists(bytes: Buffer): Promise<void> {
  const newline = bytes.indexOf(10)
  const answer = {
    status: 200,
    contentType: INDEX_TYPES.oci,
    bytes: bytes.subarray(newline + 1),
    url: new URL('https://registry.example/v2/a/tags/list'),
    header: (name: string) =>
      name === 'link' ? bytes.subarray(0, Math.max(0, newline)).toString('latin1') : undefined,
    discard: async () => undefined,
  } as Partial<Answer> as Answer
  let asked = 0
  const get = async (path: string) => {
    asked += 1
    mustHold(/^(?:tags|referrers|manifests)\//.test(path), 'pages stay within the registry')
    return answer
  }
  const lists = await Promise.allSettled([
    readTags(get, { n: 3 }, 'tags'),
    readReferrers(get, DIGEST, 'referrers'),
  ])
  mustHold(asked <= 102, 'pages have a bound')
  for (const list of lists) if (list.status === 'rejected') throw list.reason
}

function runManifestType(bytes: Buffer): void {
  const newline = bytes.indexOf(10)
  const type = newline < 0 ? undefined : bytes.subarray(0, newline).toString('latin1')
  mustHold(manifestTypeOf(type, bytes.subarray(newline + 1), 'it').length > 0, 'a media type')
}

export const OCI_TARGETS: readonly FuzzTarget[] = [
  { name: 'manifest', seeds: [text(image), text(index)], words: KEYS, run: runManifest },
  { name: 'config', seeds: [text(config)], words: KEYS, run: runConfig },
  {
    name: 'json',
    seeds: [text(image), text(config), '{"a":[1,"\\u0041",{}]}'],
    words: KEYS,
    run: runJson,
  },
  {
    name: 'reference',
    seeds: [
      'alpine',
      'localhost:5000/a/b:1-zstd',
      `[::1]:5000/a@${DIGEST}`,
      `ghcr.io/a_b:1@${DIGEST}`,
    ],
    words: ['library/', ':1-zstd-max', '@sha256:', 'https://', '__', '..', '%2e'],
    maxSize: 600,
    run: runReference,
  },
  {
    name: 'digest',
    seeds: [DIGEST, digestOf(Buffer.from(''), 'sha512')],
    words: ['sha256:', 'md5:', '../'],
    maxSize: 300,
    run: (bytes) => mustEqual(parseDigest(bytes.toString()), bytes.toString(), 'a digest'),
  },
  {
    name: 'platform',
    seeds: ['linux/amd64', 'linux/arm64/v8', 'macos/x86_64', 'linux/armhf'],
    words: ['aarch64', 'i386', 'armel', '/8'],
    maxSize: 200,
    run: runPlatform,
  },
  {
    name: 'lists',
    seeds: [
      '</v2/a/tags/list?n=1&last=b>; rel="next"\n{"tags":["1","2","x"]}',
      `</v2/a/referrers/x?page=2>; rel=next\n${text(index)}`,
      '\n{"tags":null}',
    ],
    words: ['<//evil/>', 'rel="next"', '"tags":', 'last=', 'https://registry.example'],
    run: runLists,
  },
  {
    name: 'manifest-type',
    seeds: [`${MANIFEST_TYPES.oci}\n${text(image)}`, `application/json\n${text(index)}`],
    words: KEYS,
    run: runManifestType,
  },
]
