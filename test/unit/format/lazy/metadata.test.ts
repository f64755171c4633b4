import { expect, it } from 'vitest'
import type { Encoded } from '../../../../src/format/format.ts'
import { zstdchunked } from '../../../../src/format/zstd-chunked.ts'
import { encodeLazy } from '../../../helpers/lazy-encode.ts'
import { END, record, tarOf } from '../../../helpers/tars.ts'

const MIB = 1024 * 1024

/** Layers of files with headers of almost 1 MiB, of which tar-split keeps every byte as 4/3 characters. */
class Layer {
  /** Files that were asked for so far. */
  read = 0
  readonly #files: number

  constructor(files: number) {
    this.#files = files
  }

  async encode(): Promise<Encoded> {
    const tar = () => this.#tar()
    const encoder = zstdchunked.encoding.encode(
      tar(),
      { level: 3 },
      { concurrency: 1, reopen: tar },
    )
    for (;;) {
      const step = await encoder.next()
      if (step.done) return step.value
    }
  }

  async *#tar(): AsyncGenerator<Uint8Array> {
    const comment = 'c'.repeat(1_000_000)
    for (this.read = 0; this.read < this.#files; this.read += 1) {
      yield record({ name: `f${this.read}`, body: Buffer.from('f'), pax: { comment } })
    }
    yield END
  }
}

it('a layer whose tar-split has almost 150 MiB becomes zstd:chunked', async () => {
  const { facts } = await new Layer(117).encode()
  const [, , plainSize] = String(facts.tarSplitPosition).split(':').map(Number)
  expect(plainSize).toBeGreaterThan(148 * MIB)
  expect(plainSize).toBeLessThan(150 * MIB)
})

it('a layer whose tar-split has a little more is refused', async () => {
  await expect(new Layer(118).encode()).rejects.toMatchObject({
    name: 'LayerRefusedError',
    message: expect.stringContaining("the layer's tar-split has more than 157286400 bytes"),
  })
})

it('a layer whose tar-split has far more is refused before all of it is read', async () => {
  const layer = new Layer(500)
  await expect(layer.encode()).rejects.toThrow(/tar-split has more/)
  expect(layer.read).toBeLessThan(300)
})

it('a layer whose table of contents has more is refused, too', async () => {
  const path = `${'long/'.repeat(800)}f`
  // Every hole and every byte between two of them is a chunk, which the table lists by the file's name.
  const body = Buffer.alloc(20_000 * 1025)
  for (let at = 1024; at < body.length; at += 1025) body[at] = 1
  await expect(encodeLazy(zstdchunked, tarOf({ name: 'x', pax: { path }, body }))).rejects.toThrow(
    "the layer's table of contents has more than 157286400 bytes",
  )
})
