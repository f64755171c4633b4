import { describe, expect, it } from 'vitest'
import { compressPieces, type Bytes } from '../../../../src/format/pieces.ts'
import { encodeNative } from '../../../../src/format/nydus/native.ts'
import { streamOf } from '../../../../src/lib/streams.ts'
import { END, record } from '../../../helpers/tars.ts'

const FILES = 2000

describe('a layer of very many small files', () => {
  it('is handed on in few parts', async () => {
    const files = Array.from({ length: FILES }, (_, i) =>
      record({ name: `${i}`, body: Buffer.from(`${i}`) }),
    )
    const tar = streamOf(Buffer.concat([...files, END]))

    let parts = 0
    for await (const _ of encodeNative(tar, { compression: 'none' }, { concurrency: 1 })) parts += 1

    expect(parts).toBeLessThan(FILES / 50)
  })

  it('never has more than some hundreds of its pieces go on at a time', async () => {
    async function* cut(): AsyncGenerator<readonly Bytes[], void> {
      for (let i = 0; i < FILES; i += 1) yield [{ parts: [Buffer.from('x')], size: 1 }]
    }
    const packNow = () => Buffer.from('x')
    const compress = () => Promise.reject(new Error('not asked for'))

    const sizes: number[] = []
    for await (const batch of compressPieces(cut(), compress, { concurrency: 1, packNow })) {
      sizes.push(batch.length)
    }

    expect(Math.max(...sizes)).toBeLessThan(300)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(FILES)
  })
})
