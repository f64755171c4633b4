import { describe, expect, it } from 'vitest'
import { chunkInfos, readChunkInfos } from '../../../../src/format/nydus/chunk-info.ts'
import { ChunkTable } from '../../../../src/format/nydus/chunks.ts'
import { sectionHeader } from '../../../../src/format/nydus/toc.ts'
import { zranInfos } from '../../../../src/format/nydus/zran-infos.ts'

const DIGEST = Buffer.alloc(32, 7)

/** Sizes, stored sizes, stored offsets; from upstream's fixtures. */
const CHUNKS = [
  [0x4223, 0x12dc, 0],
  [0x3458, 0xb9e, 0x12dc],
] as const

function tableOf(chunks: readonly (readonly [number, number, number])[]): ChunkTable {
  const table = new ChunkTable()
  for (const [size, storedSize, at] of chunks) table.store(table.add(DIGEST, size), at, storedSize)
  return table
}

/** All that a table says, chunk by chunk. */
function rowsOf(chunks: ChunkTable) {
  return Array.from({ length: chunks.count }, (_, i) => ({
    digest: chunks.digestAt(i),
    size: chunks.sizeAt(i),
    stored: [chunks.storedAt(i), chunks.storedSizeAt(i)],
    plainAt: chunks.plainAt(i),
  }))
}

describe('chunk infos', () => {
  it('are the 16 bytes that upstream writes', async () => {
    expect((await chunkInfos(tableOf(CHUNKS))).toString('hex')).toBe(
      `${'00000000002022040000000000b02d01'}${'0050000000704503dc12000000d0b900'}`,
    )
  })

  it('are read as they were written, up to the largest', async () => {
    const chunks = tableOf([...CHUNKS, [2 ** 24, 2 ** 24, 2 ** 40 - 1], [1, 1, 0]])
    const read = await readChunkInfos('native', await chunkInfos(chunks), chunks.digests)

    expect(rowsOf(read)).toEqual(rowsOf(chunks))
  })

  it('are the 24 bytes that upstream writes of a gzip layer', async () => {
    const chunks = tableOf([[1404, 649, 184]])
    const { bytes } = await zranInfos(chunks, [{ slice: 0, offset: 1024 }], [])

    expect(bytes.toString('hex')).toBe('000000007b050003b8000000008902000004000000000000')
    const read = await readChunkInfos('zran', bytes, chunks.digests)
    expect(rowsOf(read)).toEqual(rowsOf(chunks))
  })
})

describe('the header behind a section', () => {
  it.each([
    ['image.blob', 7802, '0005641'],
    ['blob.meta', 4128, '0005470'],
    ['blob.digest', 64, '0006015'],
    ['rafs.blob.toc', 1152, '0006260'],
  ])("has upstream's checksum: %s", (name, size, checksum) => {
    const header = sectionHeader(name, size)

    expect(header.toString('latin1', 148, 156)).toBe(`${checksum}\0`)
    expect(header).toHaveLength(512)
  })

  it('takes sizes beyond eleven octal digits', () => {
    expect(sectionHeader('image.blob', 2 ** 35).toString('hex', 124, 136)).toBe(
      '800000000000000800000000',
    )
  })
})
