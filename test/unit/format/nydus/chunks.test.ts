import { describe, expect, it } from 'vitest'
import { digestOf, hexOf } from '../../../../src/oci/digest.ts'
import { ChunkTable, KnownChunks } from '../../../../src/format/nydus/chunks.ts'
import { Contents } from '../../../../src/format/nydus/contents.ts'

const sha256 = (text: string) => Buffer.from(hexOf(digestOf(Buffer.from(text))), 'hex')

function known() {
  const chunks = new ChunkTable()
  const found = new KnownChunks(chunks)
  return { found, add: (digest: Buffer, size: number) => found.add(chunks.add(digest, size)) }
}

describe('known chunks', () => {
  it('are found among thousands, and others are not', () => {
    const { found, add } = known()
    for (let i = 0; i < 5000; i += 1) add(sha256(`${i}`), i)

    for (let i = 0; i < 5000; i += 1) expect(found.find(sha256(`${i}`), i)).toBe(i)
    expect(found.find(sha256('other'), 1)).toBeUndefined()
    expect(found.find(sha256('1'), 2)).toBeUndefined()
  })

  it('are told apart when their digests begin alike', () => {
    const { found, add } = known()
    const alike = (i: number) => Buffer.concat([Buffer.alloc(28, 7), Buffer.from([i, 0, 0, 0])])
    for (let i = 0; i < 50; i += 1) add(alike(i), 1)

    for (let i = 0; i < 50; i += 1) expect(found.find(alike(i), 1)).toBe(i)
    expect(found.find(alike(50), 1)).toBeUndefined()
  })

  it('are forgotten at the end', () => {
    const { found, add } = known()
    add(sha256('a'), 1)
    found.clear()

    expect(found.find(sha256('a'), 1)).toBeUndefined()
  })
})

describe('contents', () => {
  it('have the chunks that came after they were opened, of their blob', () => {
    const contents = new Contents()
    const empty = contents.open(0)
    const one = contents.open(2)
    for (const chunk of [5, 3]) contents.push(chunk)
    const other = contents.open(1)
    contents.push(9)

    expect([empty, one, other].map((content) => [...contents.chunksOf(content)])).toEqual([
      [],
      [5, 3],
      [9],
    ])
    expect([empty, one, other].map((content) => contents.countOf(content))).toEqual([0, 2, 1])
    expect([one, other].map((content) => contents.blobOf(content))).toEqual([2, 1])
  })
})
