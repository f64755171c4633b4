/** Parsers of files that people and other programs write on this machine. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseHtpasswd } from '../../src/access/htpasswd.ts'
import { findReferences } from '../../src/bundle/references.ts'
import { formatAddress, parseAddress, parseAddressRange } from '../../src/config/address.ts'
import { parseUpstreamUrl } from '../../src/config/fields.ts'
import { loadConfig } from '../../src/config/load.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { formatConfig } from '../../src/config/show.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/config/units.ts'
import { writeRecord } from '../../src/format/priorities.ts'
import { compileGlob } from '../../src/lib/glob.ts'
import { streamOf } from '../../src/lib/streams.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { parseReference } from '../../src/oci/reference.ts'
import { optionsText, recipeIn, recipeText } from '../../src/ports/recipe.ts'
import { readRecord } from '../../src/priorities/record-files.ts'
import { FsJournal } from '../../src/store/fs-journal.ts'
import { layoutOf } from '../../src/store/layout.ts'
import type { FileLock } from '../../src/store/lock.ts'
import { FsSidecars } from '../../src/store/sidecars.ts'
import type { TempFiles } from '../../src/store/temp-files.ts'
import { DockerCredentials } from '../../src/upstream/credentials.ts'
import { type FuzzTarget, mustEqual, mustHold } from './fuzz-target.ts'
import { tarOf } from './tars.ts'

const HASH = `$2y$05$${'a'.repeat(53)}`
const DIGEST = digestOf(Buffer.from('x'))

/** Made when first needed, away with the process. */
let folder: string | undefined
function place(name: string, content: Uint8Array): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'crossdock-fuzz-'))
    process.once('exit', () => rmSync(made, { recursive: true, force: true }))
    folder = made
  }
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

function runHtpasswd(bytes: Buffer): void {
  const users = parseHtpasswd('f', bytes.toString())
  const printed = [...users].map(([name, hash]) => `${name}:${hash}`).join('\n')
  mustEqual([...parseHtpasswd('f', printed)], [...users], 'users written again')
}

async function runRecord(bytes: Buffer): Promise<void> {
  const lines = await readRecord(streamOf(bytes), 'it')
  const again = await readRecord(streamOf(Buffer.from(writeRecord(lines))), 'it')
  mustEqual(again, lines, 'a record written again')
}

async function runDockerConfig(bytes: Buffer): Promise<void> {
  const file = place('config.json', bytes)
  // The same bytes as what a helper prints.
  const credentials = new DockerCredentials(file, {}, async () => bytes.toString())
  for (const host of ['docker.io', 'ghcr.io']) {
    const found = await credentials.find(host)
    const secret = found && ('password' in found ? found.password : found.identityToken)
    mustHold(secret === undefined || typeof secret === 'string', 'a secret is a text')
  }
}

/** What is accepted is shown so that it is read back the same. */
async function runConfig(bytes: Buffer): Promise<void> {
  const load = (content: Uint8Array) =>
    loadConfig({ file: place('crossdock.yaml', content), env: {}, cwd: tmpdir(), arch: 'x64' })
  const loaded = await load(bytes)
  if (JSON.stringify(loaded.config.upstreams).includes('"password":')) return
  const again = await load(Buffer.from(formatConfig(loaded)))
  mustEqual(again.config, loaded.config, 'a configuration shown and read again')
}

function runReferences(bytes: Buffer): void {
  for (const { text, line } of findReferences('f', bytes.toString())) {
    parseReference(text)
    mustHold(line >= 1, 'lines count from 1')
  }
}

/** A file that rotted is absent, not an accident; what is read has what its readers use. */
async function runSidecar(bytes: Buffer): Promise<void> {
  const layout = layoutOf(dirname(place('data/x', Buffer.alloc(0))))
  place(layout.sidecar(DIGEST).slice(layout.data.length - 4), bytes)
  const sidecars = new FsSidecars(layout, {} as TempFiles, {} as FileLock)
  const sidecar = await sidecars.read(DIGEST)
  for (const { upstream, name, tags } of sidecar?.places ?? []) {
    mustHold(`${upstream}/${name}`.length > 1, 'a place has a name')
    mustHold(
      Object.values(tags).every((at) => typeof at === 'number'),
      'a tag has a time',
    )
  }
  const { conversion } = sidecar ?? {}
  if (conversion === undefined) return
  mustHold(recipeIn(recipeText(conversion.recipe)) !== undefined, 'a recipe is one')
  for (const { options } of conversion.layers) optionsText(options)
}

async function runJournal(bytes: Buffer): Promise<void> {
  const layout = layoutOf(dirname(place('data/x', Buffer.alloc(0))))
  const under = (path: string) => path.slice(layout.data.length - 4)
  place(under(layout.proofs(DIGEST)), bytes)
  for (const name of ['platforms.jsonl', 'forgotten.jsonl']) place(`data/sidecars/${name}`, bytes)
  const journal = new FsJournal(layout)
  for await (const { upstream, size } of journal.listProofs()) {
    mustHold(typeof upstream === 'string' && Number.isSafeInteger(size), 'a link')
  }
  for await (const { name, platform } of journal.listPlatforms()) {
    mustHold(typeof name === 'string' && typeof platform.os === 'string', 'a platform')
  }
  for await (const { tag, at } of journal.listForgotten()) {
    mustHold(typeof tag === 'string' && typeof at === 'number', 'a forgotten tag')
  }
}

function runScalars(bytes: Buffer): void {
  const text = bytes.toString()
  const size = parseSize(text)
  if (size !== undefined) mustEqual(parseSize(formatSize(size)), size, 'a size')
  const duration = parseDuration(text)
  if (duration !== undefined)
    mustEqual(parseDuration(formatDuration(duration)), duration, 'a duration')
  const address = parseAddress(text)
  if (address !== undefined) mustEqual(parseAddress(formatAddress(address)), address, 'an address')
  parseAddressRange(text)
  const url = parseUpstreamUrl(text)
  if (url !== undefined) mustEqual(parseUpstreamUrl(url), url, 'a URL')
  if (!text.includes('*')) mustHold(compileGlob(text).test(text) || /\n/.test(text), 'a glob')
}

const CONFIG_WORDS = [
  ...[
    'listen:\n  - address: ',
    'upstreams:\n',
    'profiles:\n',
    'rules:\n',
    'cache: { maxSize: ',
    '&a ',
    '*a',
  ],
  ...[
    'auth: { mode: htpasswd, htpasswd: f }\n',
    '$\u007bHOME}',
    '<<: *a',
    '? ',
    '!!binary ',
    '\t',
    '---\n',
    'trustedProxies: [10.0.0.0/8]\n',
  ],
]
const sidecar = {
  digest: DIGEST,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  size: 1,
  places: [{ upstream: 'docker.io', name: 'library/a', tags: { '1': 1000 } }],
}

const conversion = {
  repository: { upstream: 'docker.io', name: 'library/a' },
  ...{ source: DIGEST, target: DIGEST, profile: 'zstd', size: 1 },
  recipe: '{"profile":"zstd","format":"zstd","revision":1,"options":{},"dialect":"oci"}',
  ...{ mediaType: sidecar.mediaType, convertedAt: 1, seconds: 0.5 },
  layers: [
    {
      ...{ source: DIGEST, target: DIGEST, diffId: DIGEST, encoding: 'zstd', revision: 1 },
      ...{ options: '{"level":3}', size: 1, uncompressedSize: 2, facts: { a: 'b' } },
    },
  ],
}

export const FILE_TARGETS: readonly FuzzTarget[] = [
  {
    name: 'htpasswd',
    seeds: [`alice:${HASH}\n# x\nbob:${HASH}\n`, 'carol:{SHA}x'],
    words: [HASH, '$2b$', '$2x$31$', ':', '\r\n', '\0'],
    mayThrow: (error) => /^f:\d+: /.test(error.message) && !error.message.includes('$'),
    run: runHtpasswd,
  },
  {
    name: 'record',
    seeds: [
      '{"path":"usr/bin/env","manifestDigest":"sha256:x","layerIndex":0}\n{"path":"/etc/a"}\n',
      tarOf({ name: 'stargz.record.json', body: Buffer.from('{"path":"a"}\n') }),
    ],
    words: ['{"path":"', '"layerIndex":', '../', '\n', '\x1f\x8b\x08', '\x28\xb5\x2f\xfd'],
    run: runRecord,
  },
  {
    name: 'docker-config',
    seeds: [
      '{"auths":{"https://index.docker.io/v1/":{"auth":"YTpi"},"ghcr.io":{"identitytoken":"x"}}}',
      '{"credHelpers":{"ghcr.io":"x"},"credsStore":"y"}',
      '{"Username":"<token>","Secret":"x"}',
    ],
    words: ['"auth":"', '"username":"a","password":"b"', '"Secret":', '"credsStore":"../x"'],
    run: runDockerConfig,
  },
  {
    name: 'configuration',
    seeds: [
      'listen:\n  - address: 0.0.0.0:5000\n    profile: zstd\ncache: { maxSize: 10GiB, tagWindow: 60s }\n',
      'upstreams:\n  local: { url: http://127.0.0.1:5010, mirrors: [https://a.example] }\ndefaultUpstream: local\nprofiles:\n  zstd-9: { format: zstd, level: 9 }\nrules:\n  - { match: local/**, profile: zstd-9 }\n',
      'auth: { mode: mtls, policy: [{ who: [a], match: ["**"], profiles: [zstd] }] }\nadmin: off\n',
    ],
    words: CONFIG_WORDS,
    mayThrow: (error) => error instanceof ConfigError,
    run: runConfig,
  },
  {
    name: 'references',
    seeds: [
      '# list\nalpine:3 linux/amd64,linux/arm64\nghcr.io/a/b@sha256:x\n',
      'apiVersion: v1\nkind: Pod\nspec:\n  containers:\n    - image: nginx:1\n      name: x\n---\nspec: {}\n',
      'services:\n  web: { image: "redis:7", platform: linux/arm64 }\nx: &a { image: *b }\n',
      'image:\n  registry: quay.io\n  repository: a/b\n  tag: 1\n  digest: ~\n',
    ],
    words: [
      'image: ',
      '- image: ',
      '&a',
      '*a',
      '---\n',
      '{{ .Values.x }}',
      '$\u007bX}',
      '!!map',
      '<<: ',
      '|-\n',
    ],
    run: runReferences,
  },
  {
    name: 'sidecar',
    seeds: [JSON.stringify(sidecar), JSON.stringify({ ...sidecar, conversion })],
    words: ['"places":', '"tags":null', '"conversion":null', '"layers":'],
    run: runSidecar,
  },
  {
    name: 'journal',
    seeds: [
      '{"upstream":"docker.io","name":"library/a","size":3,"standing":"proven"}\n{"upstream":"q',
      '{"upstream":"docker.io","name":"a","platform":{"os":"linux","architecture":"arm64"}}\n',
      '{"upstream":"docker.io","name":"a","tag":"1","at":5}\nnull\n',
    ],
    words: ['\n', '"standing":"made"', '"role":"config"', 'null\n', '[]\n'],
    run: runJournal,
  },
  {
    name: 'scalars',
    seeds: [
      '10GiB',
      '1.5MB',
      '1h30m',
      '7d',
      '[::1]:5000',
      '0.0.0.0:80',
      '10.0.0.0/8',
      'https://a.example:5',
      'a/*.b',
    ],
    words: ['KiB', 'ms', '::ffff:1.2.3.4', '/129', '%00', '@', '**'],
    maxSize: 100,
    run: runScalars,
  },
]
