/** Ztocs of every layer of every fixture against upstream's builder, and before its reader. */
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DecodeError } from '../../src/codec/failure.ts'
import { sniffCompression } from '../../src/codec/codecs.ts'
import { writeSociIndex } from '../../src/format/soci/soci-index.ts'
import { digestOf } from '../../src/oci/digest.ts'
import { seededBytes, seededText } from '../helpers/bytes.ts'
import { describeWith, LAYOUT } from '../helpers/fixtures.ts'
import { flushedMember } from '../helpers/gzip-streams.ts'
import { askOracle } from '../helpers/oracles.ts'
import { END, record, richTar, type TarItem, tarOf } from '../helpers/tars.ts'
import { bytesOf, referenceZtoc, SPAN_SIZE, ztocOf } from '../helpers/ztocs.ts'

/** Small, so that small layers have many. */
const SMALL_SPAN = 16 * 1024

/** Why layers of the fixtures have no ztoc of ours although upstream makes one: its snapshotter would show other files. */
const REFUSED =
  /sparse|goes on behind its end|hard link to|in what is no folder|in the place of a file|name of a folder/

let folder: string

/**
 * Has upstream's reader judge our ztoc and compares it with that of its builder, which must be the same unless its own reader
 * refuses that (a gzip that begins with nothing). Says whether there is a ztoc.
 */
async function judge(layer: string, spanSize: number): Promise<boolean> {
  const [ourPath, theirPath] = [join(folder, 'ours.ztoc'), join(folder, 'theirs.ztoc')]
  const ours = oursOf(await readFile(layer), spanSize)
  const theirs = await referenceZtoc(layer, theirPath, spanSize)
  if (typeof ours === 'string') {
    if (Buffer.isBuffer(theirs)) expect(ours).toMatch(REFUSED)
    return false
  }
  if (!Buffer.isBuffer(theirs)) throw new Error(`upstream makes no ztoc: ${theirs.stdout}`)
  await writeFile(ourPath, ours)
  const check = (ztoc: string) =>
    askOracle('oracle-soci', ['check', '--layer', layer, '--ztoc', ztoc, '--files', '50'])
  await check(ourPath)
  if (!ours.equals(theirs)) await expect(check(theirPath)).rejects.toThrow('out of order')
  return true
}

/** Nothing for what is no layer. */
function oursOf(layer: Uint8Array, spanSize: number): Buffer | string {
  try {
    return bytesOf(ztocOf(layer, spanSize))
  } catch (error) {
    if (error instanceof DecodeError) return error.message
    throw error
  }
}

async function judgeMade(bytes: Uint8Array, spanSize = SPAN_SIZE): Promise<boolean> {
  const layer = join(folder, 'layer')
  await writeFile(layer, bytes)
  return await judge(layer, spanSize)
}

/** Layers of all fixtures that are gzip or plain. */
async function fixtureLayers(): Promise<readonly string[]> {
  const blobs = join(LAYOUT, 'blobs', 'sha256')
  const layers: string[] = []
  for (const name of await readdir(blobs)) {
    const path = join(blobs, name)
    const { size } = await stat(path)
    const head = (await readFile(path)).subarray(0, 512)
    const compression = size < 512 && head[0] === 0x7b ? undefined : sniffCompression(head)
    if (compression === 'gzip' || compression === 'none') layers.push(path)
  }
  return layers
}

describeWith(['oracles', 'registry'], 'ztocs against upstream', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'crossdock-soci-'))
  })
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  test('are the same bytes for every layer of every fixture, but where nodes would be misled', async () => {
    const layers = await fixtureLayers()
    const made: string[] = []
    for (const layer of layers) {
      const { size } = await stat(layer)
      const isMade = await judge(layer, size < 1e6 ? SMALL_SPAN : SPAN_SIZE).catch((error) => {
        throw new Error(`${layer}: ${error.message}`, { cause: error })
      })
      if (isMade) made.push(layer)
    }
    expect(layers.length).toBeGreaterThan(50)
    expect(made.length).toBeGreaterThan(layers.length * 0.8)
  })

  test('are the same bytes for all kinds of entries and of gzip', async () => {
    const tar = richTar()
    const many = gzipSync(tar, { level: 9 })
    const halves = [tar.subarray(0, 300_000), tar.subarray(300_000)]
    const streams: Readonly<Record<string, Uint8Array>> = {
      plain: tar,
      gzip: many,
      stored: gzipSync(tar, { level: 0 }),
      members: Buffer.concat(halves.map((half) => gzipSync(half))),
      flushed: flushedMember(...halves),
      padded: gzipSync(Buffer.concat([tar, Buffer.alloc(20_000)])),
    }
    for (const [name, bytes] of Object.entries(streams)) {
      expect(await judgeMade(bytes, SMALL_SPAN), name).toBe(true)
      expect(await judgeMade(bytes), name).toBe(true)
    }
  })

  test('are the same bytes for 30,000 small files, and for a file of 1 GiB', async () => {
    const text = seededText(200_000, 'small')
    const small = function* () {
      for (let i = 0; i < 30_000; i += 1) {
        const start = (i * 37) % 190_000
        yield record({ name: `d${i % 100}/${i}`, body: text.subarray(start, start + (i % 5000)) })
      }
      yield END
    }
    expect(await judgeMade(gzipSync(Buffer.concat([...small()]), { level: 1 }))).toBe(true)
    const part = Buffer.concat([seededBytes(1024 * 1024, 'noise'), Buffer.alloc(7 * 1024 * 1024)])
    const head = record({ name: 'large', size: 1024 ** 3 }).subarray(0, 512)
    const packed = gzipSync(part)
    const large = [gzipSync(head), ...Array<Buffer>(128).fill(packed), gzipSync(END)]
    expect(await judgeMade(Buffer.concat(large))).toBe(true)
  })

  test('are the same bytes for names that are no UTF-8, duplicates, and attributes of any bytes', async () => {
    const items: readonly TarItem[] = [
      { name: 'caf\xe9', body: Buffer.from('latin') },
      { name: 'twice', body: Buffer.from('1') },
      { name: 'twice', body: Buffer.from('22') },
      { name: 'x', pax: { path: 'größe', 'SCHILY.xattr.user.größe': Buffer.from([0, 255, 10]) } },
      { name: 'y', type: '2', pax: { linkpath: Buffer.from([0xff, 0x41]), comment: 'none' } },
    ]
    expect(await judgeMade(gzipSync(tarOf(...items)))).toBe(true)
    expect(await judgeMade(tarOf(...items))).toBe(true)
  })

  test('hang on an index that the snapshotter stores as it is', async () => {
    const layer = { digest: digestOf(Buffer.from('l')), mediaType: 'application/vnd.<&>\u2028' }
    const ztocs = [{ digest: digestOf(Buffer.from('z')), size: 3, layer }]
    const subject = { mediaType: 'a/b', digest: digestOf(Buffer.from('i')), size: 5 }
    const path = join(folder, 'index.json')
    for (const more of [{}, { subject }]) {
      await writeFile(path, writeSociIndex({ ztocs, spanSize: SPAN_SIZE, tool: 't', ...more }))
      await askOracle('oracle-soci', ['index', path])
    }
  })
})
