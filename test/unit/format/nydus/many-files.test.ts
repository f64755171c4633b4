import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { chunkInfos, readChunkInfos } from '../../../../src/format/nydus/chunk-info.ts'
import { ChunkTable } from '../../../../src/format/nydus/chunks.ts'
import { SharedAttributes } from '../../../../src/format/nydus/shared-attributes.ts'
import { FRAME_SIZE, Sections } from '../../../../src/format/nydus/sections.ts'
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

  it('has one object for attributes of files that are alike', () => {
    const plain = () => ({
      ...{ mode: 0o644, uid: 1, gid: 2 },
      ...{ mtime: { seconds: 3, nanos: 4 }, xattrs: new Map() },
    })
    const shared = new SharedAttributes()
    const first = shared.of(plain())

    expect(shared.of(plain())).toBe(first)
    for (const change of [
      { mode: 0 },
      { uid: 0 },
      { gid: 0 },
      { mtime: { seconds: 3, nanos: 0 } },
      { xattrs: new Map([['user.x', Buffer.from('1')]]) },
    ]) {
      const other = { ...plain(), ...change }
      expect(shared.of(plain())).toEqual(first)
      expect(shared.of(other)).toBe(other)
    }
  })

  it('leaves the event loop to others while its chunks are written and read', async () => {
    const chunks = new ChunkTable()
    for (let i = 0; i < 20_000; i += 1) chunks.add(Buffer.alloc(32, i), 1)

    const infos = await whileOthersWait(() => chunkInfos(chunks))
    await whileOthersWait(() => readChunkInfos('native', infos, chunks.digests))
  })

  it('leaves the event loop to others while its nodes are written', async () => {
    let inTurn = 0
    let most = 0
    const isDone = new AbortController()
    const watcher = countTurns(isDone.signal, () => (inTurn = 0))
    function* parts() {
      for (let i = 0; i < 64; i += 1) {
        inTurn += 1
        most = Math.max(most, inTurn)
        yield Buffer.alloc(64 * 1024)
      }
    }

    for await (const _ of new Sections(0).add('image.boot', parts(), 'none', FRAME_SIZE));
    isDone.abort()
    await watcher

    expect(most).toBeLessThanOrEqual(4)
  })
})

/** Fails unless somebody else has had a turn by the end of the work. */
async function whileOthersWait<T>(work: () => Promise<T>): Promise<T> {
  let turns = 0
  const isDone = new AbortController()
  const watcher = countTurns(isDone.signal, () => (turns += 1))
  const made = await work()
  expect(turns).toBeGreaterThan(0)
  isDone.abort()
  await watcher
  return made
}

async function countTurns(until: AbortSignal, onTurn: () => void): Promise<void> {
  while (!until.aborted) {
    await setImmediate()
    onTurn()
  }
}
