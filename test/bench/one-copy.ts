/** What `cache.dedup` saves of a store that has images in several forms, and what an original costs that is made again. */
import { join } from 'node:path'
import { type Crossdock, startCrossdock } from '../helpers/crossdock-process.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { readImage } from '../helpers/fixtures-registry.ts'
import { formatRate } from './measure.ts'
import type { AnyRow, Section } from './row.ts'
import { openFolder, shell } from './source.ts'

/** Real ones, and small ones of every oddity. */
const IMAGES = [
  ...['debian:12-amd64', 'node-app:1', 'mixed:1', 'many-layers:1', 'shared-a:1', 'shared-b:1'],
  ...['byte-names', 'gzip-latin1-name', 'spellings', 'through-symlink', 'pax-global-path'].map(
    tricky,
  ),
  ...['end-missing', 'gzip-fields', 'xattrs', 'pax-names', 'gnu-names'].map(tricky),
  ...['xattrs-elsewhere', '1', 'links', 'owners'].map(tricky),
]
const FORMS = ['', '-zstd', '-estargz'] as const
const LARGE = 'node-app:1'

/** Nothing was folded for so long: all was. */
const QUIET_MS = 15_000
/** A puller waits for the first bytes no longer than for a registry that is far away. */
const MOST_FIRST_BYTE = 0.5

export const oneCopy: Section = {
  name: 'one-copy',
  isLong: true,
  async measure() {
    await using folder = await openFolder()
    const data = join(folder.path, 'data')
    const config = (dedup: string) => ({
      data,
      config: { log: { level: 'warn' }, cache: { lease: '1s', dedup, scrub: { interval: '0' } } },
    })
    const before = await filled(config('off'))
    await using crossdock = await startCrossdock(config('on'))
    await folded(crossdock)
    const after = await crossdock.metric('crossdock_store_bytes')
    return [
      {
        what: `store of ${before.images} images as gzip, zstd and eStargz, cache.dedup: on`,
        against: 'the same, off',
        ours: `${(after / 1e6).toFixed(0)} MB`,
        theirs: `${(before.size / 1e6).toFixed(0)} MB`,
        ratio: before.size / after,
        least: 1.5,
      },
      ...(await again(crossdock)),
    ]
  },
}

function tricky(tag: string): string {
  return `tricky:${tag}`
}

/** Images that are not among this machine's fixtures are left out, and not counted. */
async function filled(options: Parameters<typeof startCrossdock>[0]) {
  await using crossdock = await startCrossdock(options)
  let images = 0
  for (const image of IMAGES) {
    const isThere = await pullAll(crossdock, image)
    if (isThere) images += 1
  }
  return { images, size: await crossdock.metric('crossdock_store_bytes') }
}

async function pullAll(crossdock: Crossdock, image: string): Promise<boolean> {
  for (const form of FORMS) {
    const from = `docker://${crossdock.host}/${image}${form}`
    await using folder = await openFolder()
    const copy = `skopeo copy -q --src-tls-verify=false ${from} dir:${folder.path}`
    const isDone = await shell(copy).then(
      () => true,
      () => false,
    )
    if (!isDone) return false
  }
  return true
}

async function folded(crossdock: Crossdock): Promise<void> {
  let last = 0
  let since = performance.now()
  while (last === 0 || performance.now() - since < QUIET_MS) {
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    const now = await crossdock.metric('crossdock_folded_blobs_total')
    if (now === last) continue
    last = now
    since = performance.now()
  }
}

/** The largest original, which is kept as zstd and corrections by now. */
async function again(crossdock: Crossdock): Promise<readonly AnyRow[]> {
  const { document } = await readImage(`${crossdock.host}/${LARGE}`)
  const [layer] = (document.layers ?? []).toSorted((a, b) => b.size - a.size)
  if (layer === undefined) throw new Error(`${LARGE} has no layers`)
  const url = `${crossdock.url}/v2/${LARGE.replace(/:.*/, '')}/blobs/${layer.digest}`
  const words = '%{time_starttransfer} %{time_total}'
  await using folder = await openFolder()
  const file = join(folder.path, 'layer')
  const { stdout } = await mustRun('curl', ['-sf', '-o', file, '-w', words, url])
  const [first = Number.NaN, total = Number.NaN] = stdout.split(' ').map(Number)
  const began = performance.now()
  await shell(`gzip -dc ${file} | gzip -6 > ${file}.again`)
  const native = (performance.now() - began) / 1000
  const what = `original of ${Math.round(layer.size / 1e6)} MB made again`
  return [
    {
      what: `${what}, first byte`,
      ours: `${(first * 1000).toFixed(0)} ms`,
      bound: `${MOST_FIRST_BYTE * 1000} ms`,
      met: first <= MOST_FIRST_BYTE,
    },
    {
      what: `${what}, all of it`,
      against: 'gzip -6 of the same tar',
      ours: formatRate(layer.size, total),
      theirs: formatRate(layer.size, native),
      ratio: native / total,
      least: 0.5,
      goal: 1,
    },
  ]
}
