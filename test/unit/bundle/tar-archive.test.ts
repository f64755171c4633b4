import fc from 'fast-check'
import { extract, pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { type Entry, type FileEntry, smallFile } from '../../../src/bundle/entry.ts'
import { readTar, writeTar } from '../../../src/bundle/tar-archive.ts'
import { formatHeader, parseHeader } from '../../../src/bundle/tar-header.ts'
import { collect, streamOf } from '../../../src/lib/streams.ts'
import { chunked } from '../../helpers/bytes.ts'

const names = fc
  .array(fc.stringMatching(/^[a-z0-9_]{1,60}$/), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
const files = fc.uniqueArray(
  fc.record({ name: names, bytes: fc.uint8Array({ maxLength: 3000 }) }),
  { selector: ({ name }) => name, maxLength: 6 },
)

describe('tar archives', () => {
  it('come back as they were written, for any chunking', async () => {
    await fc.assert(
      fc.asyncProperty(files, fc.integer({ min: 1, max: 2000 }), async (given, size) => {
        const archive = await written(given)
        const back = await readAll(readTar(chunked(archive, [size])))
        expect(back).toEqual(given.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes) })))
      }),
      { numRuns: 50 },
    )
  })

  it('are read by others', async () => {
    await fc.assert(
      fc.asyncProperty(files, async (given) => {
        const reader = extract()
        reader.end(await written(given))
        const seen: object[] = []
        for await (const entry of reader) {
          const bytes = Buffer.from(await collect(entry as AsyncIterable<Uint8Array>, 10_000))
          if (entry.header.type === 'file') seen.push({ name: entry.header.name, bytes })
        }
        expect(seen).toEqual(given.map(({ name, bytes }) => ({ name, bytes: Buffer.from(bytes) })))
      }),
      { numRuns: 30 },
    )
  })

  it('of others are read, with long names and links', async () => {
    const long = `${'d'.repeat(90)}/${'f'.repeat(120)}`
    const archive = pack()
    archive.entry({ name: './a' }, 'one')
    archive.entry({ name: long }, 'two')
    archive.entry({ name: 'x/layer.tar', type: 'symlink', linkname: '../a' })
    archive.entry({ name: 'hard', type: 'link', linkname: 'a' })
    archive.entry({ name: 'out', type: 'symlink', linkname: '../../etc/passwd' })
    archive.entry({ name: 'folder', type: 'directory' })
    archive.finalize()

    const entries: Entry[] = []
    for await (const entry of readTar(archive as AsyncIterable<Uint8Array>)) entries.push(entry)

    expect(entries.map((one) => [one.name, one.kind === 'link' ? one.target : one.size])).toEqual([
      ['a', 3],
      [long, 3],
      ['x/layer.tar', 'a'],
      ['hard', 'a'],
    ])
  })

  it('that end anywhere before their end are refused', async () => {
    const archive = await written([
      { name: 'a', bytes: Buffer.alloc(700, 1) },
      { name: 'b', bytes: Buffer.alloc(10, 2) },
    ])
    // The end is marked by two blocks of zeros; one is enough to know it.
    const last = archive.byteLength - 513
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: last }), async (cut) => {
        const read = readAll(readTar(streamOf(archive.subarray(0, cut))))
        await expect(read).rejects.toThrow(/archive is damaged|truncated/)
      }),
      { numRuns: 60 },
    )
  })

  it('with a flipped bit in a header are refused', async () => {
    const archive = await written([{ name: 'a', bytes: Buffer.alloc(10) }])
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 147 }), async (at) => {
        const bad = Buffer.from(archive)
        bad[at] = (bad[at] ?? 0) ^ 1
        await expect(readAll(readTar(streamOf(bad)))).rejects.toThrow(/checksum of a header/)
      }),
    )
  })

  it('carry files beyond 8 GiB', () => {
    const size = 20 * 2 ** 30
    const bytes = formatHeader('blobs/sha256/x', size, '0')

    expect(bytes.byteLength).toBe(3 * 512)
    expect(Buffer.from(bytes).toString()).toContain(`20 size=${size}\n`)
    expect(parseHeader(bytes.subarray(0, 512))?.type).toBe('x')
  })

  it('read sizes in base 256', () => {
    const block = formatHeader('x', 0, '0').slice(0, 512)
    block.fill(0, 124, 136)
    new DataView(block.buffer).setBigUint64(128, 12n * 2n ** 30n)
    block[124] = 0x80

    expect(parseHeader(sealed(block))?.size).toBe(12 * 2 ** 30)
  })

  it.each(['1.5', '0x200', '1e3', '', '-1', '9007199254740993', 'x'])(
    'with a PAX size of %j are refused',
    async (size) => {
      const record = Buffer.from(
        `${size.length + 8 < 10 ? size.length + 8 : size.length + 9} size=${size}\n`,
      )
      const pax = formatHeader('p', record.byteLength, '0').slice()
      pax[156] = 'x'.charCodeAt(0)
      const padded = Buffer.concat([record, Buffer.alloc(512 - record.byteLength)])
      const archive = Buffer.concat([
        sealed(pax),
        padded,
        formatHeader('a', 0, '0'),
        Buffer.alloc(2048),
      ])

      await expect(readAll(readTar(streamOf(archive)))).rejects.toThrow(/in a header is no size/)
    },
  )

  it.each([
    ['letters', Buffer.from('0000000000z\0')],
    ['digits that are not octal', Buffer.from('00000000009\0')],
    ['a negative number of base 256', Buffer.alloc(12, 0xff)],
    ['a number of base 256 beyond 2^53', Buffer.from('800000000020000000000000', 'hex')],
  ])('with a size of %s are refused', (_what, size) => {
    const block = formatHeader('x', 0, '0').slice()
    block.set(size, 124)

    expect(() => parseHeader(sealed(block))).toThrow(/in a header is no size/)
  })

  it('refuse content that is not as long as it was said to be', async () => {
    const lie: FileEntry = { ...smallFile('a', 'abc'), size: 5 }
    async function* files() {
      yield lie
    }
    await expect(collect(writeTar(files()), 10_000)).rejects.toThrow(/a has 3 bytes instead of 5/)
  })

  it.each([
    ['a name of 1 MiB', extended('L', 'n'.repeat(2 ** 20))],
    ['a link to a name of 1 MiB', extended('K', 'n'.repeat(2 ** 20))],
    ['a PAX name of 1 MiB', extended('x', record('path', 'n'.repeat(900_000)))],
    ['a PAX link of 1 MiB', extended('x', record('linkpath', 'n'.repeat(900_000)))],
    ['a header without an end', extended('x', 'x', 2 ** 33)],
  ])('with %s are refused', async (_what, header) => {
    const archive = Buffer.concat([header, formatHeader('a', 0, '0'), Buffer.alloc(1024)])
    await expect(readAll(readTar(streamOf(archive)))).rejects.toThrow(
      /a name has more than 4096 characters|a header is too long/,
    )
  })

  it.each(['../a', 'blobs/sha256/../../x', 'a/..', '/../etc/passwd'])(
    'with the name %s are refused',
    async (name) => {
      const archive = Buffer.concat([formatHeader(name, 0, '0'), Buffer.alloc(1024)])
      await expect(readAll(readTar(streamOf(archive)))).rejects.toThrow(/leads out of it/)
    },
  )

  it('with sparse files are refused, in the old form and the new', async () => {
    const old = formatHeader('a', 0, '0').slice()
    old[156] = 'S'.charCodeAt(0)
    const pax = extended('x', record('GNU.sparse.major', '1'))
    for (const header of [sealed(old), Buffer.concat([pax, formatHeader('a', 0, '0')])]) {
      const archive = Buffer.concat([header, Buffer.alloc(1024)])
      await expect(readAll(readTar(streamOf(archive)))).rejects.toThrow(/holds a sparse file/)
    }
  })

  it('with headers upon headers are refused', async () => {
    const many = Array.from({ length: 20 }, () => extended('x', record('mtime', '1')))
    const archive = Buffer.concat([...many, formatHeader('a', 0, '0'), Buffer.alloc(1024)])
    await expect(readAll(readTar(streamOf(archive)))).rejects.toThrow(/too many headers/)
  })

  it('that go on behind their end are refused before all of that is read', async () => {
    let read = 0
    async function* endless() {
      yield formatHeader('a', 0, '0')
      for (; ; read += 2 ** 20) yield new Uint8Array(2 ** 20)
    }
    await expect(readAll(readTar(endless()))).rejects.toThrow(/goes on behind its end/)
    expect(read).toBeLessThan(100 * 2 ** 20)
  })

  it('let go of their source when the reader leaves', async () => {
    let closed = false
    async function* source() {
      try {
        for (;;) yield formatHeader('a', 0, '0')
      } finally {
        closed = true
      }
    }
    for await (const entry of readTar(source())) if (entry.name === 'a') break
    expect(closed).toBe(true)
  })
})

/** A header whose checksum fits what it has become. */
function sealed(block: Uint8Array): Uint8Array {
  block.fill(32, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.set(Buffer.from(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  return block
}

/** A PAX or GNU header with its body; `size` is what it claims to have. */
function extended(type: string, body: string, size = body.length): Buffer {
  const header = formatHeader('x', Math.min(size, 2 ** 32), '0').slice()
  header[156] = type.charCodeAt(0)
  const padding = Buffer.alloc((512 - (body.length % 512)) % 512)
  return Buffer.concat([sealed(header), Buffer.from(body), padding])
}

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`.length
  const length = [1, 2, 3, 4, 5, 6, 7].find((digits) => String(rest + digits).length === digits)
  return `${rest + (length ?? 0)} ${key}=${value}\n`
}

interface Given {
  readonly name: string
  readonly bytes: Uint8Array
}

async function written(given: readonly Given[]): Promise<Uint8Array> {
  async function* entries() {
    for (const { name, bytes } of given) yield smallFile(name, bytes)
  }
  return await collect(writeTar(entries()), 10_000_000)
}

async function readAll(entries: AsyncIterable<Entry>): Promise<Given[]> {
  const found: Given[] = []
  for await (const entry of entries) {
    if (entry.kind !== 'file') continue
    found.push({ name: entry.name, bytes: Buffer.from(await collect(entry.read(), 1_000_000)) })
  }
  return found
}
