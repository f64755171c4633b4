import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  compressionOfName,
  compressOuter,
  decompressOuter,
  isArchiveName,
} from '../../../src/bundle/outer-compression.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { chunked, seededText } from '../../helpers/bytes.ts'

const LIMIT = 2 ** 26
/** Two blocks of xz. */
const TAR = tarLike(30 * 2 ** 20)
const hasXz = has('xz')

describe('the outer compression', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('follows the extension', () => {
    const names = ['a.tar', 'a.tar.zst', 'a.tzst', 'a.tar.xz', 'a.txz', 'A.TAR.XZ', 'a.tar.gz']
    expect(names.map(compressionOfName)).toEqual([
      'none',
      'zstd',
      'zstd',
      'xz',
      'xz',
      'xz',
      undefined,
    ])
    expect(['a.tar.zst.001', 'folder', 'v1.2', 'a.tar'].map(isArchiveName)).toEqual([
      true,
      false,
      false,
      true,
    ])
  })

  it.each(['none', 'zstd', ...(hasXz ? (['xz'] as const) : [])] as const)(
    'gives the same bytes for any number of threads and any chunking: %s',
    async (compression) => {
      const level = compression === 'xz' ? 0 : 1
      const one = await collect(
        compressOuter(chunked(TAR, [777_777, 5]), { compression, level, threads: 1 }),
        LIMIT,
      )
      const three = await collect(
        compressOuter(streamOf(TAR), { compression, level, threads: 3 }),
        LIMIT,
      )
      expect(Buffer.compare(one, three)).toBe(0)
      const back = await collect(decompressOuter(chunked(one, [54_321])), LIMIT)
      expect(Buffer.compare(back, TAR)).toBe(0)
    },
    60_000,
  )

  it('by zstd finds again what lies far back', async () => {
    const once = randomBytes(6 * 2 ** 20)
    const packed = compressOuter(streamOf(Buffer.concat([once, once])), {
      ...{ compression: 'zstd', level: 1, threads: 1 },
    })

    expect((await collect(packed, LIMIT)).byteLength).toBeLessThan(1.01 * once.byteLength)
  })

  it.runIf(hasXz)('is what xz itself reads', async () => {
    const tar = TAR.subarray(0, 2 ** 20)
    const packed = await collect(
      compressOuter(streamOf(tar), { compression: 'xz', level: 0, threads: 2 }),
      LIMIT,
    )
    const back = execFileSync('xz', ['-dc'], { input: packed, maxBuffer: LIMIT })
    expect(back.equals(tar)).toBe(true)
  })

  it('takes off gzip as well, which docker save is piped through', async () => {
    const tar = TAR.subarray(0, 2 ** 20)
    const back = await collect(decompressOuter(streamOf(gzipSync(tar))), LIMIT)
    expect(Buffer.compare(back, tar)).toBe(0)
  })

  it('says what to do when xz is not installed', async () => {
    vi.stubEnv('PATH', '/nonexistent')
    const packed = compressOuter(streamOf(TAR), { compression: 'xz', threads: 1 })
    await expect(collect(packed, LIMIT)).rejects.toThrow(/xz is not installed.*--compress zstd/)
  })

  it('passes a failure of what is compressed on', async () => {
    async function* broken() {
      yield TAR.subarray(0, 100_000)
      throw new Error('the blob broke')
    }
    for (const compression of ['zstd', ...(hasXz ? (['xz'] as const) : [])] as const) {
      const packed = compressOuter(broken(), { compression, threads: 1 })
      await expect(collect(packed, LIMIT)).rejects.toThrow('the blob broke')
    }
  })

  it('refuses what is empty', async () => {
    await expect(collect(decompressOuter(streamOf(new Uint8Array())), LIMIT)).rejects.toThrow(
      /archive is empty/,
    )
  })
})

/** Text behind a header that looks like a tar's. */
function tarLike(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  const text = seededText(2 ** 20, 'outer')
  for (let at = 0; at < size; at += text.byteLength) text.copy(bytes, at)
  Buffer.from('ustar\x0000').copy(bytes, 257)
  return bytes
}

function has(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
