import fc from 'fast-check'
import { extract, pack } from 'tar-stream'
import { describe, expect, it } from 'vitest'
import { cleanName, type TarEntry } from '../../../src/tar/entry.ts'
import { readTar, type TarEvent } from '../../../src/tar/reader.ts'
import { chunked } from '../../helpers/bytes.ts'
import {
  anyTar,
  base256,
  END,
  paxBody,
  record,
  richTar,
  type TarItem,
  tarOf,
} from '../../helpers/tars.ts'

const TAR_STREAM_TYPES: Readonly<Record<string, string>> = {
  file: 'reg',
  link: 'hardlink',
  directory: 'dir',
  'character-device': 'char',
  'block-device': 'block',
}

async function eventsOf(tar: Uint8Array, sizes: readonly number[] = [1e9]): Promise<TarEvent[]> {
  const events: TarEvent[] = []
  for await (const event of readTar(chunked(tar, sizes))) events.push(event)
  return events
}

async function entriesOf(tar: Uint8Array): Promise<TarEntry[]> {
  return (await eventsOf(tar)).flatMap((event) => (event.kind === 'entry' ? [event.entry] : []))
}

async function entryOf(item: TarItem): Promise<TarEntry> {
  const [entry] = await entriesOf(tarOf(item))
  if (entry === undefined) throw new Error('the tar has no entry')
  return entry
}

function bytesOf(events: readonly TarEvent[]): Buffer {
  return Buffer.concat(events.map((event) => (event.kind === 'entry' ? event.raw : event.bytes)))
}

describe('tar reader', () => {
  it('loses no byte and sees the same entries for any tar and chunking', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(anyTar, sizes, async (tar, cuts) => {
        const whole = await eventsOf(tar)
        const cut = await eventsOf(tar, cuts)
        expect(bytesOf(whole).equals(tar)).toBe(true)
        expect(bytesOf(cut).equals(tar)).toBe(true)
        expect(cut.flatMap(entryIn)).toEqual(whole.flatMap(entryIn))
      }),
      { numRuns: 40 },
    )
  })

  it('reads one byte at a time', async () => {
    const tar = richTar().subarray(0, 40_000)
    const events: TarEvent[] = []
    const drain = async () => {
      for await (const event of readTar(chunked(tar, [1]))) events.push(event)
    }
    await expect(drain()).rejects.toThrow('ends in the middle')
    expect(bytesOf(events).equals(tar.subarray(0, bytesOf(events).length))).toBe(true)
  })

  it('agrees with tar-stream on names, types, sizes and links', async () => {
    const tar = richTar()
    const extractor = extract()
    extractor.end(tar)
    const theirs: unknown[] = []
    for await (const entry of extractor) {
      const { name, type, size, linkname } = entry.header
      theirs.push([cleanName(name), TAR_STREAM_TYPES[type ?? ''] ?? type, size, linkname ?? ''])
      entry.resume()
    }
    const ours = (await entriesOf(tar)).map(({ name, type, size, linkName }) => [
      cleanName(name),
      type,
      size,
      linkName,
    ])
    expect(ours).toEqual(theirs)
  })

  it('reads what tar-stream writes', async () => {
    const writer = pack()
    writer.entry({ name: 'a'.repeat(300), mtime: new Date(1_600_000_000_000) }, 'content')
    writer.entry({ name: 'größe', type: 'symlink', linkname: 'b'.repeat(300) })
    writer.finalize()
    const chunks: Buffer[] = []
    for await (const chunk of writer) chunks.push(chunk as Buffer)
    const entries = await entriesOf(Buffer.concat(chunks))
    expect(entries.map(({ name, linkName, size }) => [name, linkName, size])).toEqual([
      ['a'.repeat(300), '', 7],
      ['größe', 'b'.repeat(300), 0],
    ])
  })

  it('joins the prefix of ustar to the name', async () => {
    const entry = await entryOf({ name: 'tail', edit: (block) => block.write('some/prefix', 345) })
    expect(entry.name).toBe('some/prefix/tail')
  })

  it('takes the access time of GNU where ustar has its prefix', async () => {
    const entry = await entryOf({
      name: 'file',
      edit: (block) => {
        block.write('ustar  \0', 257)
        block.write('00000000017\0', 345)
      },
    })
    expect(entry).toMatchObject({
      name: 'file',
      atime: { seconds: 15, nanos: 0 },
      ctime: undefined,
    })
  })

  it('reads binary numbers, also negative times', async () => {
    const entry = await entryOf({
      name: 'file',
      edit: (block) => {
        base256(block, 108, 8, 4_000_000_000n)
        base256(block, 136, 12, -5n)
      },
    })
    expect(entry).toMatchObject({ uid: 4_000_000_000, mtime: { seconds: -5, nanos: 0 } })
  })

  it('keeps nanoseconds before and after 1970', async () => {
    const entry = await entryOf({
      name: 'file',
      pax: { mtime: '1.1234567899', atime: '-1.25', ctime: '-0.5' },
    })
    expect(entry.mtime).toEqual({ seconds: 1, nanos: 123_456_789 })
    expect(entry.atime).toEqual({ seconds: -2, nanos: 750_000_000 })
    expect(entry.ctime).toEqual({ seconds: -1, nanos: 500_000_000 })
  })

  it('keeps xattrs as bytes, empty ones too, and leaves those of libarchive out', async () => {
    const entry = await entryOf({
      name: 'file',
      pax: {
        'SCHILY.xattr.user.b': Buffer.from([0, 1, 255]),
        'SCHILY.xattr.user.e': '',
        'LIBARCHIVE.xattr.user.c': 'YQ==',
      },
    })
    expect([...entry.xattrs]).toEqual([
      ['user.b', Buffer.from([0, 1, 255])],
      ['user.e', Buffer.from('')],
    ])
  })

  it('keeps the block for an empty value and takes the last of two extended headers', async () => {
    const first = record({ name: 'x', type: 'x', body: paxBody({ path: 'not-this', uid: '7' }) })
    const [entry] = await entriesOf(
      Buffer.concat([first, tarOf({ name: 'name', pax: { path: '' } })]),
    )
    expect(entry).toMatchObject({ name: 'name', uid: 0 })
  })

  it('marks names that are not UTF-8', async () => {
    expect((await entryOf({ name: 'caf\xe9' })).isText).toBe(false)
    expect(
      (await entryOf({ name: 'link', type: '2', pax: { linkpath: Buffer.from([0xff]) } })).isText,
    ).toBe(false)
    expect((await entryOf({ name: 'x', pax: { path: 'café' } })).isText).toBe(true)
  })

  it('gives a global header an entry of its own and applies it to none', async () => {
    const global = record({ name: 'pax_global_header', type: 'g', body: paxBody({ mtime: '5' }) })
    const entries = await entriesOf(Buffer.concat([global, tarOf({ name: 'file' })]))
    expect(entries.map(({ type, mtime }) => [type, mtime.seconds])).toEqual([
      ['global', 1_700_000_000],
      ['reg', 1_700_000_000],
    ])
    expect(entries[0]?.paxKeys).toEqual(['mtime'])
  })

  it('takes an old file with a slash at its end for a folder, and v7 headers', async () => {
    const v7 = (block: Buffer) => block.fill(0, 257, 345)
    expect((await entryOf({ name: 'old/', type: '\0', edit: v7 })).type).toBe('dir')
    expect((await entryOf({ name: 'old', type: '\0', edit: v7 })).type).toBe('reg')
  })

  it('accepts an end without zero blocks, with one, and with many', async () => {
    const one = record({ name: 'file', body: Buffer.from('1') })
    for (const zeros of [0, 512, 1024, 1536, 10_240]) {
      const tar = Buffer.concat([one, Buffer.alloc(zeros)])
      expect(bytesOf(await eventsOf(tar, [700])).equals(tar)).toBe(true)
    }
  })
})

/** The T rows of the catalogue of bad input, as far as a reader decides them. */
const REFUSED: Readonly<Record<string, Uint8Array>> = {
  'a hard link with a size': tarOf(
    { name: 'l', type: '1', link: 'a', size: 512 },
    { name: 'hidden' },
  ),
  'a symlink with a size': tarOf({ name: 'l', type: '2', link: 'a', size: 512 }),
  'a folder with a size': tarOf({ name: 'd/', type: '5', size: 512 }),
  'a device with a size': tarOf({ name: 'c', type: '3', size: 512 }),
  'a pipe with a size in PAX': tarOf({ name: 'p', type: '6', pax: { size: '512' } }),
  'an extended header of 1 MiB and a byte': tarOf({ name: 'x', type: 'x', size: 1024 * 1024 + 1 }),
  'a long name of 8 GiB': tarOf({ name: 'x', type: 'L', size: 0o77777777777 }),
  'a long name of 2^88 bytes': tarOf({
    name: 'x',
    type: 'L',
    edit: (block) => base256(block, 124, 12, 1n << 87n),
  }),
  'a sparse file of GNU': tarOf({ name: 's', type: 'S' }),
  'a sparse file of PAX': tarOf({ name: 's', pax: { 'GNU.sparse.major': '1' } }),
  'a size before a long name': Buffer.concat([
    record({ name: 'x', type: 'x', body: paxBody({ size: '1' }) }),
    tarOf({ name: 'f', longName: 'long', body: Buffer.from('1') }),
  ]),
  'a size that is no number': tarOf({ name: 'f', pax: { size: 'abc' } }),
  'a negative size': tarOf({ name: 'f', pax: { size: '-1' } }),
  'a size beyond 2^63': tarOf({ name: 'f', pax: { size: '9223372036854775808' } }),
  'a PAX size of 0 over one of 512': tarOf({
    name: 'f',
    body: Buffer.alloc(512, 1),
    pax: { size: '0' },
  }),
  'bytes behind the end': Buffer.concat([tarOf({ name: 'f' }), tarOf({ name: 'g' })]),
  'a lone zero block': Buffer.concat([
    record({ name: 'f' }),
    Buffer.alloc(512),
    tarOf({ name: 'g' }),
  ]),
  'a negative binary size': tarOf({ name: 'n', edit: (block) => base256(block, 124, 12, -512n) }),
  'an octal field with other digits': tarOf({
    name: 'n',
    edit: (block) => block.write('0000009', 108),
  }),
  'a wrong checksum': tarOf({ name: 'f' }).fill(0x37, 100, 101),
  'a name of 5,000 bytes': tarOf({ name: 'f', pax: { path: 'n'.repeat(5000) } }),
  'a file that is called a folder': tarOf({ name: 'f/' }),
  'an unknown type': tarOf({ name: 'f', type: 'X' }),
  'a contiguous file': tarOf({ name: 'f', type: '7' }),
  'two long names that differ': tarOf({ name: 'f', pax: { path: 'a' }, longName: 'b' }),
  'an extended header at the end': Buffer.concat([
    record({ name: 'x', type: 'x', body: paxBody({ uid: '1' }) }),
    END,
  ]),
  'a global header behind an extended one': Buffer.concat([
    record({ name: 'x', type: 'x', body: paxBody({ uid: '1' }) }),
    record({ name: 'g', type: 'g', body: paxBody({ gid: '1' }) }),
    tarOf({ name: 'f' }),
  ]),
  'a record of a wrong length': tarOf({ name: 'x', type: 'x', body: Buffer.from('99 a=b\n') }),
  'a cut in a header': tarOf({ name: 'f' }).subarray(0, 100),
  'a cut in content': tarOf({ name: 'f', body: Buffer.alloc(5000) }).subarray(0, 2000),
  'random bytes': Buffer.alloc(4096, 'random'),
  'one byte': Buffer.from('1'),
}

describe('tar reader refuses', () => {
  for (const [what, tar] of Object.entries(REFUSED)) {
    it(what, async () => {
      await expect(eventsOf(tar)).rejects.toThrow(
        expect.objectContaining({ name: 'AmbiguousTarError' }),
      )
      await expect(eventsOf(tar, [333])).rejects.toThrow(
        expect.objectContaining({ name: 'AmbiguousTarError' }),
      )
    })
  }
})

describe('clean name', () => {
  it('is the path below the root', () => {
    const names = [
      'a',
      './a',
      '/a',
      'a/',
      'a//b',
      'a/./b',
      'a/../b',
      '../../a',
      './',
      '/',
      '..a/b',
      'a/.b',
      '.wh..wh..opq',
    ]
    expect(names.map(cleanName)).toEqual([
      'a',
      'a',
      'a',
      'a',
      'a/b',
      'a/b',
      'b',
      'a',
      '',
      '',
      '..a/b',
      'a/.b',
      '.wh..wh..opq',
    ])
  })
})

function entryIn(event: TarEvent): TarEntry[] {
  return event.kind === 'entry' ? [event.entry] : []
}
