/** Layers in process against the programs that people would use instead. */
import { createWriteStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { decodeLayer } from '../../src/codec/codecs.ts'
import type { Format } from '../../src/format/format.ts'
import { defaultOptions, findFormat } from '../../src/format/formats.ts'
import type { ByteStream } from '../../src/lib/streams.ts'
import { Hasher } from '../../src/oci/digest.ts'
import { TOOLS } from '../helpers/fixtures.ts'
import { mustRun } from '../helpers/fixtures-command.ts'
import { comparePair, formatRate, formatTime, timed } from './measure.ts'
import type { Row, Section } from './row.ts'
import {
  IMAGE,
  largestLayer,
  openFolder,
  readFileBytes,
  type SourceLayer,
  shell,
  sourceLayers,
} from './source.ts'

const LIMITS = { maxOutput: 2 ** 40, maxWindowLog: 27 }

export const recompression: Section = {
  name: 'recompression',
  async measure(runs) {
    const layers = await sourceLayers()
    const zstd = getFormat('zstd')
    let tarBytes = 0
    const ours = () =>
      timed(async () => {
        tarBytes = 0
        for (const layer of layers) tarBytes += await recompress(layer, zstd)
      })
    const theirs = () =>
      timed(async () => {
        for (const { file } of layers) await shell(`zcat < ${file} | zstd -q -3 -T2 > /dev/null`)
      })
    const pair = await comparePair(runs, ours, theirs)
    return [
      {
        what: `gzip to zstd level 3 in process, diffID and digests checked (${IMAGE}, MB/s of tar)`,
        against: 'zcat | zstd -3 -T2',
        ours: formatRate(tarBytes, pair.ours),
        theirs: formatRate(tarBytes, pair.theirs),
        ratio: pair.theirs / pair.ours,
        least: 1.2,
        goal: 1.5,
      },
    ]
  },
}

export const lazyFormats: Section = {
  name: 'lazy',
  async measure(runs) {
    return [
      ...(await compareWriter(runs, 'estargz', 'oracle-estargz', 3)),
      ...(await compareWriter(runs, 'zstdchunked', 'oracle-zstdchunked', 1.5, 2)),
    ]
  },
}

/** From the tar in a file to the layer in a file; nothing when there is no such format. */
async function compareWriter(
  runs: number,
  name: string,
  oracle: string,
  least: number,
  goal?: number,
): Promise<readonly Row[]> {
  const format = findFormat(name)
  if (format === undefined) return []
  await using folder = await openFolder()
  const layer = await largestLayer()
  const tar = join(folder.path, 'layer.tar')
  const out = join(folder.path, 'out')
  await shell(`zcat < ${layer.file} > ${tar}`)
  const pair = await comparePair(
    runs,
    () => timed(() => encodeFile(format, tar, out)),
    async () => {
      await rm(out, { force: true })
      return timed(() => mustRun(join(TOOLS, oracle), ['make', tar, out]))
    },
  )
  const { size } = await stat(tar)
  return [
    {
      what: `${name}, largest layer of ${IMAGE} (${Math.round(size / 1e6)} MB of tar)`,
      against: `${oracle} make`,
      ours: `${formatTime(pair.ours)}, ${formatRate(size, pair.ours)}`,
      theirs: `${formatTime(pair.theirs)}, ${formatRate(size, pair.theirs)}`,
      ratio: pair.theirs / pair.ours,
      least,
      ...(goal !== undefined && { goal }),
    },
  ]
}

/** What a conversion does between two blobs: three hashes, both checks, no store. Returns the bytes of tar. */
async function recompress(layer: SourceLayer, format: Format): Promise<number> {
  const source = new Hasher()
  const tar = new Hasher()
  const result = new Hasher()
  const decoded = hashed(decodeLayer(hashed(readFileBytes(layer.file), source), LIMITS), tar)
  const open = () => decodeLayer(readFileBytes(layer.file), LIMITS)
  for await (const piece of encode(format, decoded, open)) result.update(piece)
  const { size } = tar
  if (source.digest() !== layer.digest || tar.digest() !== layer.diffId) {
    throw new Error(`${layer.digest} is not what it claims to be`)
  }
  result.digest()
  return size
}

async function encodeFile(format: Format, tar: string, out: string): Promise<void> {
  const result = new Hasher()
  const open = () => readFileBytes(tar)
  await pipeline(hashed(encode(format, open(), open), result), createWriteStream(out))
  result.digest()
}

function encode(format: Format, tar: ByteStream, reopen: () => ByteStream) {
  const context = { concurrency: availableParallelism(), reopen }
  const { encoding } = format
  if (encoding.reads !== 'tar') throw new Error(`${format.name} reads no tar`)
  return encoding.encode(tar, defaultOptions(format), context)
}

async function* hashed(bytes: ByteStream, hasher: Hasher): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    hasher.update(chunk)
    yield chunk
  }
}

function getFormat(name: string): Format {
  const format = findFormat(name)
  if (format === undefined) throw new Error(`no format ${name}`)
  return format
}
