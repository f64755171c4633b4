/** Nydus images of every kind of content, before Nydus's own code and the kernel's. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { describeWith, LAYOUT } from '../helpers/fixtures.ts'
import { judgeFolder, layersIn, makeFolder, type TarReaders } from '../helpers/nydus-folders.ts'
import type { Form } from '../helpers/nydus-images.ts'
import { END, record, richTar, type TarItem, tarOf } from '../helpers/tars.ts'

const FORMS = ['zstd', 'ref'] as const

/** What layers of `tricky` are refused for, and why. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  'end-garbage': /goes on behind its end/,
  'pax-global-path': /global header/,
  'sparse-pax': /sparse/,
  'sparse-pax-00': /sparse/,
  spellings: /name of a folder/,
}

const THEMES = [
  ...['byte-names', 'control-names', 'devices', 'end-missing', 'end-one-block', 'end-padded'],
  ...['gnu-names', 'gzip-fields', 'gzip-latin1-name', 'gzip-members', 'gzip-split', 'gzip-stored'],
  ...['implied-folders', 'links', 'old-headers', 'owners', 'pax-binary-charset', 'pax-names'],
  ...['pax-path-bytes', 'times', 'ustar-prefix', 'whiteouts', 'xattrs'],
  ...['xattrs-elsewhere', 'zstd-frames', 'zstd-skippables', 'zstd-window'],
]

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'crossdock-nydus-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** A folder of its own for each image. */
async function judge(layers: readonly string[], form: Form, readers: TarReaders = 'both') {
  const made = await makeFolder(await mkdtemp(join(folder, 'image-')), layers, form)
  const tree = await judgeFolder(made, readers)
  await rm(made.folder, { recursive: true })
  return { ...made, tree }
}

/** Files with gzip layers of tars. */
async function layersOf(...tars: readonly Buffer[]): Promise<readonly string[]> {
  const paths = tars.map((_, i) => join(folder, `layer-${tars.length}-${i}.gz`))
  for (const [i, tar] of tars.entries()) await writeFile(paths[i] ?? '', gzipSync(tar))
  return paths
}

const FILE = (name: string, body: string | Buffer = name): TarItem => ({
  name,
  body: Buffer.from(body),
})

function* smallFiles(): Generator<Buffer> {
  const text = seededText(200_000, 'small')
  for (let i = 0; i < 30_000; i += 1) {
    const start = (i * 37) % 190_000
    yield record({ name: `d${i % 100}/${i}`, body: text.subarray(start, start + (i % 5000)) })
  }
  yield END
}

describeWith(['registry', 'nydus'], 'nydus images before their oracles', () => {
  test.each(FORMS)('hold a Debian, and an application of eleven layers: %s', async (form) => {
    expect((await judge(await layersIn(LAYOUT, 'debian:12'), form)).fallbacks).toEqual([])
    expect((await judge(await layersIn(LAYOUT, 'node-app:1'), form)).fallbacks).toEqual([])
  })

  test('mix forms where layers are no single gzip', async () => {
    const { fallbacks } = await judge(await layersIn(LAYOUT, 'mixed:1'), 'ref')

    expect(fallbacks).toEqual(Array(3).fill('the layer is no gzip'))
  })

  test.each(FORMS)('hold odd names, times, owners, devices and links: %s', async (form) => {
    for (const theme of THEMES) {
      await judge(await layersIn(LAYOUT, `tricky:${theme}`), form, 'python')
    }
  })

  test.each([
    ['through-symlink', '/real/file', '/alias/file'],
    ['whiteout-aufs', '/etc', '/.wh..wh.plnk'],
    ['pax-oddities', '/pax/last-header-wins', '/pax/not-this'],
  ])('hold what containerd makes of %s', async (theme, present, absent) => {
    const { tree } = await judge(await layersIn(LAYOUT, `tricky:${theme}`), 'zstd', 'nobody')

    expect(tree).toContain(JSON.stringify(present))
    expect(tree).not.toContain(JSON.stringify(absent))
  })

  test.each(Object.entries(REFUSED))('are refused for %s', async (theme, reason) => {
    const layers = await layersIn(LAYOUT, `tricky:${theme}`)

    await expect(makeFolder(folder, layers, 'zstd')).rejects.toThrow(reason)
  })

  test.each(FORMS)('hold 30,000 small files: %s', async (form) => {
    await judge(await layersOf(Buffer.concat([...smallFiles()])), form)
  })

  test.each(FORMS)('hold a file of 1 GiB: %s', async (form) => {
    const part = Buffer.concat([seededBytes(1024 * 1024, 'noise'), Buffer.alloc(7 * 1024 * 1024)])
    const head = record({ name: 'large', size: 1024 ** 3 }).subarray(0, 512)
    await judge(await layersOf(Buffer.concat([head, ...Array<Buffer>(128).fill(part), END])), form)
  })

  test.each(['zstd', 'none', 'ref'] as const)(
    'stack layers as containers see them: %s',
    async (form) => {
      const noise = seededBytes(3_000_000, 'twice')
      const lower = tarOf(
        // nydusd gives the root this mode, whatever the image says.
        { name: './', type: '5', mode: 0o755 },
        { name: 'root/', type: '5', mode: 0o700 },
        ...[FILE('a'), FILE('d/x'), FILE('o/lost'), FILE('noise', noise), FILE('again', noise)],
        { name: 'b', type: '1', link: 'a' },
      )
      const upper = tarOf(
        ...[FILE('root/.profile'), FILE('d/.wh.x', ''), FILE('o/.wh..wh..opq', ''), FILE('o/kept')],
        { name: 'd/link', type: '1', link: 'b' },
        FILE('noise2', noise),
      )
      await judge(await layersOf(lower, upper, tarOf(FILE('a', 'new')), tarOf(), upper), form)
    },
  )

  test('hold everything that a tar can say', async () => {
    const whiteouts = tarOf({ name: 'opt/', type: '5' })
    await judge(await layersOf(whiteouts, richTar()), 'zstd', 'python')
  })
})
