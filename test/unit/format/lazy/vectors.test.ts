import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { estargz } from '../../../../src/format/estargz.ts'
import type { FormatOptions } from '../../../../src/format/format.ts'
import { defaultOptions } from '../../../../src/format/formats.ts'
import { parseRecord, priorityPaths, readPriorities } from '../../../../src/format/priorities.ts'
import type { TocEntry } from '../../../../src/format/toc.ts'
import { zstdchunked } from '../../../../src/format/zstd-chunked.ts'
import { streamOf } from '../../../../src/lib/streams.ts'
import {
  openChunked,
  openEstargz,
  readFiles,
  readTarSplit,
  sha256,
  type Toc,
} from '../../../helpers/lazy-blobs.ts'
import { encodeLazy } from '../../../helpers/lazy-encode.ts'
import { describeWithVectors, readVector, readVectorJson } from '../../../helpers/vectors.ts'

/** Files of the sample and what they hold. */
const FILES: Readonly<Record<string, string>> = {
  'etc/hello.txt': 'sha256:2e3b1cb027bc7b6a2c9c8f9e50c79d9764fafcfa0fa1f30015b0f1da74c50838',
  'bin/tool': 'sha256:deedb5ff20744f6c10a8dad2272410a54a77c93aa7ec80172ce9192ec0fddb9e',
  'etc/pax.txt': 'sha256:d0a5fb2e3d323d934006976084f40e7d21ddb72156f9c21083096a02d8ff7af9',
}

interface Expected {
  readonly tocOffset: number
  readonly tocDigest: string
  readonly 'members[off,clen,ulen]': readonly (readonly [number, number, number])[]
}

const SAMPLE_DIFF_ID = 'sha256:fdbf8d5837a3228d095f18b076551514755329cfd8ad851a161d28e821a3c3ba'

async function encode(
  format: typeof estargz,
  options: FormatOptions,
  priorities?: readonly string[],
) {
  const tar = readVector('in/sample.tar')
  return await encodeLazy(format, tar, { options, ...(priorities ? { priorities } : {}) })
}

/** Offsets depend on the compressor; epoch times and the first chunk's offset may be spelled out or not. */
function comparable(entries: readonly TocEntry[]): unknown[] {
  return entries.map(({ offset, endOffset, modtime, ...entry }) => ({
    ...entry,
    hasOffset: offset !== undefined,
    modtime: modtime === '1970-01-01T00:00:00Z' ? undefined : modtime,
  }))
}

describeWithVectors('lazy vectors', () => {
  for (const name of [
    'no-prefetch',
    'prefetch-chunk4096',
    'ctr-remote-0.12',
    'ctr-remote-0.12-record',
  ]) {
    it(`reads esgz/${name}`, async () => {
      const blob = readVector(`esgz/${name}.esgz`)
      const lazy = await openEstargz(blob)
      const expected =
        readVectorJson<Record<string, Expected>>('expected.json')[`esgz/${name}.esgz`]
      expect(lazy.tocOffset).toBe(expected?.tocOffset)
      expect(sha256(lazy.tocJson)).toBe(expected?.tocDigest)
      expect(lazy.tocJson.equals(readVector(`esgz/${name}.toc.json`))).toBe(true)
      const files = readFiles(lazy)
      for (const [file, digest] of Object.entries(FILES)) {
        expect(sha256(files.get(file) ?? Buffer.alloc(0))).toBe(digest)
      }
    })
  }

  for (const name of ['union', 'stargz']) {
    it(`reads zstdchunked/${name}`, () => {
      const lazy = openChunked(readVector(`zstdchunked/${name}.zst`))
      expect(lazy.tocJson.equals(readVector(`zstdchunked/${name}.toc.json`))).toBe(true)
      expect(sha256(readFiles(lazy).get('bin/tool') ?? Buffer.alloc(0))).toBe(FILES['bin/tool'])
    })
  }

  it('writes the table of esgz/no-prefetch, entry by entry', async () => {
    const { bytes, facts } = await encode(estargz, defaultOptions(estargz))
    const lazy = await openEstargz(bytes)
    const vector = readVectorJson<Toc>('esgz/no-prefetch.toc.json')
    expect(comparable(lazy.toc.entries)).toEqual(comparable(vector.entries))
    expect(sha256(lazy.tocJson)).toBe(facts.facts.tocDigest)
    expect(facts.facts.uncompressedSize).toBe(String(gunzipSync(bytes).length))
    expect(facts.diffId).toBe(sha256(gunzipSync(bytes)))
    readFiles(lazy)
  })

  it('writes the table of esgz/prefetch-chunk4096 from the record', async () => {
    const record = priorityPaths(parseRecord(readVector('in/record.jsonl').toString()))
    const { bytes } = await encode(estargz, { level: 9, chunkSize: 4096 }, record)
    const lazy = await openEstargz(bytes)
    const vector = readVectorJson<Toc>('esgz/prefetch-chunk4096.toc.json')
    expect(comparable(lazy.toc.entries)).toEqual(comparable(vector.entries))
    readFiles(lazy)
  })

  it('cuts members where esgz/no-prefetch and esgz/prefetch-chunk4096 have them', async () => {
    const record = ['bin/alias', 'etc/hello.txt']
    for (const [name, options, priorities] of [
      ['no-prefetch', { level: 9, chunkSize: 4_194_304 }, undefined],
      ['prefetch-chunk4096', { level: 9, chunkSize: 4096 }, record],
    ] as const) {
      const { bytes } = await encode(estargz, options, priorities)
      const lazy = await openEstargz(bytes)
      const offsets = [0, ...lazy.toc.entries.flatMap(({ offset }) => offset ?? [])]
      const expected =
        readVectorJson<Record<string, Expected>>('expected.json')[`esgz/${name}.esgz`]
      const sizes = expected?.['members[off,clen,ulen]']
        .map(([, , size]) => size)
        .slice(0, offsets.length)
      expect(offsets.map((offset) => lazy.piece(offset).length)).toEqual(sizes)
    }
  })

  it('writes table and tar-split of zstdchunked/union, and unpacks to the sample', async () => {
    const { bytes, facts } = await encode(zstdchunked, defaultOptions(zstdchunked))
    const lazy = openChunked(bytes)
    const vector = readVectorJson<Toc>('zstdchunked/union.toc.json')
    expect(comparable(lazy.toc.entries)).toEqual(comparable(vector.entries))
    expect(sha256(lazy.tocJson)).toBe(facts.facts.tocDigest)
    const tarSplit = readTarSplit(bytes, facts.facts.tarSplitPosition ?? '')
    expect(tarSplit.join('\n')).toBe(
      readVector('zstdchunked/union.tarsplit.jsonl').toString().trimEnd(),
    )
    expect(sha256(zstdDecompressSync(bytes))).toBe(SAMPLE_DIFF_ID)
    readFiles(lazy)
  })

  it('marks each blob for one kind of client', async () => {
    const { facts } = await encode(zstdchunked, defaultOptions(zstdchunked))
    const ours = zstdchunked.annotations?.(facts.facts) ?? {}
    const vector = readVectorJson<Record<string, string>>('zstdchunked/union.annotations.json')
    expect(Object.keys(ours).toSorted()).toEqual(Object.keys(vector).toSorted())
  })

  it('reads the priorities of existing layers', async () => {
    const prioritiesOf = async (path: string) => {
      const blob = readVector(path)
      return await readPriorities({
        size: blob.length,
        read: ({ start, end }) => streamOf(blob.subarray(start, end)),
      })
    }
    const listed = ['bin/tool', 'bin/alias', 'etc/hello.txt']
    expect(await prioritiesOf('esgz/ctr-remote-0.12-record.esgz')).toEqual(listed)
    expect(await prioritiesOf('esgz/prefetch-chunk4096.esgz')).toEqual(listed)
    expect(await prioritiesOf('esgz/no-prefetch.esgz')).toEqual([])
    expect(await prioritiesOf('in/sample.tar.gz')).toBeUndefined()
  })
})
